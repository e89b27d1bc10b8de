// Calls of the service's public API (ComfyUI's). Every call ends in an answer or in one of the
// three errors below; each call reports whether the service could be reached.

import { reached, unreachable } from "./connection.js";
import { t } from "./texts.js";
import { askToken, bearer } from "./token.js";

const TIMEOUT_MS = 20_000; // until an answer begins

/**
 * The service refused: `kind` of the fault catalogue if it named one, the message in its own words,
 * `trace` by which the operator finds it.
 */
export class Refused extends Error {
  constructor(status, { kind = null, reason = "", trace = null } = {}) {
    super(reason || `HTTP ${status}`);
    Object.assign(this, { status, kind, trace });
  }
}

/** The service is out of reach or starting: the same call can be made again. */
export class Unreachable extends Error {}

/** The service wants fewer calls: the same call can be made again after `seconds`. */
export class Busy extends Error {
  constructor(seconds) {
    super(`busy for ${seconds} s`);
    this.seconds = seconds;
  }
}

export const address = (path) => new URL(path, document.baseURI);

/** What an answer that is no success means. */
function problem({ status, header }, text) {
  if (status === 429) return new Busy(Math.min(Math.max(Number(header("Retry-After")) || 5, 1), 60));
  if (status >= 502 && status <= 504) return new Unreachable(`HTTP ${status}`);
  return new Refused(status, { ...explained(status, text), trace: header("X-Trace-Id") });
}

function explained(status, text) {
  try {
    const answer = JSON.parse(text);
    const errors = [answer.error, ...Object.values(answer.node_errors ?? {}).flatMap((node) => node.errors)];
    const named = errors.find((error) => error?.extra_info?.kind) ?? errors[0];
    const said = [named.message, named.details].filter(Boolean).join(": ");
    return { kind: named.extra_info?.kind ?? null, reason: said };
  } catch {
    // Not the service's own answer: a proxy in front of it speaks HTML and knows two of our kinds.
    return { kind: { 413: "image_too_large", 415: "decode_failed" }[status] ?? null };
  }
}

async function authorised(attempt) {
  const sent = bearer();
  const answer = await attempt(sent ? { Authorization: `Bearer ${sent}` } : {});
  if (answer.status !== 401) return answer;
  if ((await askToken(sent)) === null) throw new Refused(401, { reason: t("token.missing") });
  return authorised(attempt);
}

/** `keepalive` lets the call outlive the page: who cancels and leaves has still cancelled. */
async function call(path, { method = "GET", json, signal, keepalive = false } = {}) {
  const answer = await authorised(async (headers) => {
    const stopper = new AbortController();
    const timer = setTimeout(() => stopper.abort(), TIMEOUT_MS);
    const stop = () => stopper.abort();
    signal?.addEventListener("abort", stop);
    try {
      if (json !== undefined) headers["Content-Type"] = "application/json";
      const body = json === undefined ? undefined : JSON.stringify(json);
      const response = await fetch(address(path), { method, headers, body, signal: stopper.signal, cache: "no-store", keepalive });
      clearTimeout(timer); // a picture may take longer than that on a slow line
      return { status: response.status, header: (name) => response.headers.get(name), body: await response.blob() };
    } catch {
      signal?.throwIfAborted();
      unreachable();
      throw new Unreachable(path);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    }
  });
  if (!isGood(answer)) throw failed(answer, await answer.body.text());
  reached();
  return answer.body;
}

const isGood = ({ status }) => status >= 200 && status < 300;

function failed(answer, text) {
  const error = problem(answer, text);
  if (error instanceof Unreachable) unreachable();
  else reached();
  return error;
}

async function callJson(path, options) {
  const body = await call(path, options);
  return JSON.parse(await body.text());
}

export const postPrompt = (body, signal) => callJson("prompt", { method: "POST", json: body, signal });
export const features = (signal) => callJson("features", { signal });
export const queue = () => callJson("queue");
export const history = async (id) => (await callJson(`history/${encodeURIComponent(id)}`))[id] ?? null;
export const nodeInfo = async (type) => (await callJson(`object_info/${encodeURIComponent(type)}`))[type] ?? null;
export const view = ({ filename, subfolder, type }, signal) =>
  call(`view?${new URLSearchParams({ filename, subfolder: subfolder ?? "", type: type ?? "output" })}`, { signal });

/** Take a waiting prompt out of the queue and stop it if it runs; other people's prompts go on. */
export async function cancel(id) {
  await Promise.all([
    call("queue", { method: "POST", json: { delete: [id] }, keepalive: true }),
    call("interrupt", { method: "POST", json: { prompt_id: id }, keepalive: true }),
  ]);
}

/** Upload `file` as `name`; XMLHttpRequest because fetch does not tell how much is sent. */
export async function upload(file, name, onSent, signal) {
  const answer = await authorised((headers) => send(file, name, headers, onSent, signal));
  if (!isGood(answer)) throw failed(answer, answer.body);
  reached();
  return JSON.parse(answer.body);
}

function send(file, name, headers, onSent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("image", file, name);
    request.open("POST", address("upload/image"));
    for (const [key, value] of Object.entries(headers)) request.setRequestHeader(key, value);
    request.upload.onprogress = (event) => event.lengthComputable && onSent(event.loaded / event.total);
    const stop = () => request.abort();
    signal.addEventListener("abort", stop);
    request.onload = () =>
      resolve({ status: request.status, header: (name) => request.getResponseHeader(name), body: request.responseText });
    request.onerror = () => {
      unreachable();
      reject(new Unreachable("upload"));
    };
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    request.send(form);
  });
}
