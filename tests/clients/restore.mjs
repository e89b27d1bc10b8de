// Restores a photo with @stable-canvas/comfyui-client as its guide says, and prints what it saw.
//
//   node restore.mjs MODULES HOST WORKFLOW PHOTO PICTURE
//
// MODULES is the folder that holds node_modules. PICTURE is written. One JSON object is printed.
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const [modules, host, workflowFile, photo, picture] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const { Client } = require("@stable-canvas/comfyui-client");

const client = new Client({ api_host: host, WebSocket: require("ws"), fetch });
const seen = [];
client.on("message", ({ data }) => {
  const message = JSON.parse(data);
  seen.push([message.type, message.data.node ?? null]);
});
await client.connect();

// The client has no call for uploads; fetchApi is what it offers for them.
const body = new FormData();
body.append("image", new Blob([await readFile(photo)]), basename(photo));
const upload = await (await client.fetchApi("/upload/image", { method: "POST", body })).json();

const workflow = JSON.parse(await readFile(workflowFile, "utf8"));
workflow["1"].inputs.image = upload.name;
const progress = [];
const restored = await client.enqueue(workflow, {
  progress: ({ value, max }) => progress.push([value, max]),
});
const [{ data: address }] = restored.images;
await writeFile(picture, new Uint8Array(await (await fetch(address)).arrayBuffer()));

const again = await client.enqueue_polling(workflow, { polling_ms: 50 });

const refused = structuredClone(workflow);
refused["1"].inputs.image = "nobody.png";
const refusal = await client.enqueue(refused).catch((error) => error);

const failing = structuredClone(workflow);
failing["2"].inputs.checkpoint = "ddcolor_paper.pth";
const failure = await client.enqueue(failing).catch((error) => error);

const stats = await client.getSystemStats();
const nodes = await client.getNodeDefs();
const { History: history } = await client.getHistory();
client.close();
console.log(
  JSON.stringify({
    upload,
    seen,
    progress,
    again: again.images.map(({ data }) => data === address),
    refusal: { name: refusal.name, status: refusal.status, answer: refusal.json },
    failure: { name: failure.name, message: failure.message },
    device: stats.devices[0].type,
    nodes: Object.keys(nodes),
    history: history.map(({ status }) => status.status_str),
  }),
);
