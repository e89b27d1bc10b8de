// What the page finds out about a chosen file before it is sent.

const PREVIEW_PX = 640;

/** Files that say of themselves that they are something else; without a type, the service decides. */
export const isPhoto = (file) => file.type === "" || file.type.startsWith("image/");

let last = Promise.resolve();

/**
 * Resolve to `{width, height, preview}` (pixels, a small canvas), all null when this browser cannot
 * show the file. One at a time: a decoded photo takes some 50 MB.
 */
export function inspect(file) {
  const turn = last.then(() => decode(file));
  last = turn;
  return turn;
}

async function decode(file) {
  const url = URL.createObjectURL(file);
  const image = new Image();
  try {
    image.src = url;
    await image.decode();
    return { width: image.naturalWidth, height: image.naturalHeight, preview: shrunk(image) };
  } catch {
    return { width: null, height: null, preview: null };
  } finally {
    image.removeAttribute("src"); // lets go of the decoded pixels now, not at the next collection
    URL.revokeObjectURL(url);
  }
}

function shrunk(image) {
  const scale = Math.min(1, PREVIEW_PX / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}
