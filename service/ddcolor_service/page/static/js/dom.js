// Small DOM helpers. Nothing here or elsewhere parses a string as HTML.

export const byId = (id) => document.getElementById(id);

/** Make an element: `h("p", {class: "hint", hidden: true, onclick: f}, "text", child)`. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const waiting = [];
let speaking = false;

/** Have a screen reader say `text`, after what it still has to say. */
export function announce(text) {
  waiting.push(text);
  if (!speaking) speakNext();
}

function speakNext() {
  const text = waiting.shift();
  speaking = text !== undefined;
  if (!speaking) return;
  byId("announcer").textContent = text;
  setTimeout(speakNext, 1500); // a text set too soon after another replaces it unheard
}
