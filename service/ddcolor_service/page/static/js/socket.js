// ComfyUI's WebSocket, open while there is something to follow. It is only ever an early hint:
// what counts is read from /queue and /history.

import { address } from "./api.js";
import { backoff, pause } from "./connection.js";
import { uuid } from "./jobs.js";
import { bearer } from "./token.js";

const KEY = "ddcolor.client";
const OPEN_WITHIN_S = 2;
const PROTOCOL = "ddcolor.v1";

export const clientId = kept();

let socket = null;
let stopper = null;
let openings = [];
let lastMessageAt = -Infinity;

function kept() {
  try {
    // The same id after a reload: the service then goes on sending to this tab.
    const id = sessionStorage.getItem(KEY) ?? uuid();
    sessionStorage.setItem(KEY, id);
    return id;
  } catch {
    return uuid();
  }
}

export const isOpen = () => socket?.readyState === WebSocket.OPEN;

/** Seconds since the service last said something. */
export const silence = () => (performance.now() - lastMessageAt) / 1000;

/** Stay connected from now on; `onOpen()` runs after each (re)connection. */
export async function connect(onMessage, onOpen) {
  if (stopper) return;
  stopper = new AbortController();
  const { signal } = stopper;
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    if (await session(onMessage, onOpen)) attempt = 0;
    await pause(backoff(attempt), signal).catch(() => {});
  }
}

export function disconnect() {
  stopper?.abort();
  stopper = null;
  socket?.close();
}

/** Resolve when the socket is open, or soon anyway: without it the page polls. */
export function opened() {
  if (isOpen()) return Promise.resolve();
  return Promise.race([new Promise((resolve) => openings.push(resolve)), pause(OPEN_WITHIN_S)]);
}

/** Browsers let no header be set on a WebSocket, so the token is offered as a subprotocol. */
function protocols() {
  const token = bearer();
  if (!token) return [];
  const coded = btoa(String.fromCharCode(...new TextEncoder().encode(token)));
  return [PROTOCOL, `bearer.${coded.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`];
}

/** One connection; resolves when it has ended, to whether it had been open. */
function session(onMessage, onOpen) {
  const url = address(`ws?${new URLSearchParams({ clientId })}`);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let wasOpen = false;
  const mine = (socket = new WebSocket(url, protocols()));
  return new Promise((resolve) => {
    mine.onopen = () => {
      wasOpen = true;
      lastMessageAt = performance.now();
      openings.forEach((resolveOpening) => resolveOpening());
      openings = [];
      onOpen();
    };
    mine.onmessage = (event) => {
      lastMessageAt = performance.now();
      if (typeof event.data !== "string") return; // previews come as binary; the page shows none
      const { type, data } = JSON.parse(event.data);
      onMessage(type, data);
    };
    mine.onclose = () => resolve(wasOpen);
  });
}
