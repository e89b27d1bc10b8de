// Follows accepted prompts to their end: by the socket as they happen, and by /queue and /history
// whenever the socket is silent, gone or says that something ended.

import { history, queue } from "./api.js";
import { backoff } from "./connection.js";
import { announce } from "./dom.js";
import * as socket from "./socket.js";
import { t } from "./texts.js";
import { outcome } from "./workflow.js";

const CALM_S = 8; // between polls while the socket talks
const QUIET_S = 2; // between polls while it does not
const SOON_S = 0.25; // after a message that changes the queue
const MISSES = 2; // polls in a row that find a prompt nowhere before it counts as lost

const followed = new Map(); // prompt id → {job, settle (null until it is accepted), misses, heardAt}
let timer = null;
let due = Infinity;
let polling = false;
let wanted = false; // a poll was asked for while another was under way
let failures = 0;

/** Hear what the socket says of `job`; called before its prompt is sent, or its first words are missed. */
export async function listen(job) {
  followed.set(job.id, { job, settle: null, misses: 0, heardAt: -Infinity });
  socket.connect(receive, () => pollIn(0));
  await socket.opened();
}

/**
 * Follow `job`, whose prompt was accepted, until it has ended; resolve to its outcome (see
 * workflow.js), or to `{stage: "lost"}` when the service knows nothing of it.
 */
export function follow(job) {
  if (!followed.has(job.id)) listen(job);
  return new Promise((settle) => {
    followed.get(job.id).settle = settle;
    pollIn(SOON_S);
  });
}

/** Stop following `job`; its promise stays open. */
export function unfollow(job) {
  followed.delete(job.id);
  if (followed.size === 0) socket.disconnect();
}

function receive(type, data) {
  if (type === "status") return pollIn(SOON_S); // the queue has changed, so have the places in it
  const entry = followed.get(data?.prompt_id);
  if (!entry) return;
  entry.heardAt = performance.now();
  const { job } = entry;
  switch (type) {
    case "execution_start":
      job.set({ notices: [] }); // a prompt that a restart stopped begins anew
      started(job);
      break;
    case "ddcolor_notice":
      job.set({ notices: [...job.notices, data] });
      break;
    case "execution_cached":
      finish(job, data.nodes);
      break;
    case "executing":
      if (data.node === null) return pollIn(SOON_S);
      started(job);
      if (job.node !== null && job.node !== data.node) finish(job, [job.node]);
      job.set({ node: data.node, share: null });
      break;
    case "progress":
      job.set({ node: data.node ?? job.node, share: data.max > 1 ? data.value / data.max : null });
      break;
    case "executed":
      finish(job, [data.node]);
      break;
    case "execution_success":
    case "execution_error":
    case "execution_interrupted":
      pollIn(SOON_S);
  }
}

function started(job) {
  if (job.stage === "running") return;
  announce(t("say.started", { name: job.name }));
  job.set({ stage: "running", ahead: null, startedAt: performance.now() });
}

function finish(job, nodes) {
  job.set({ finishedNodes: new Set([...job.finishedNodes, ...nodes]) });
}

function pollIn(seconds) {
  const at = performance.now() + seconds * 1000;
  if (at >= due) return;
  due = at;
  clearTimeout(timer);
  timer = setTimeout(poll, seconds * 1000);
}

async function poll() {
  due = Infinity;
  wanted = polling;
  if (polling || followed.size === 0) return;
  polling = true;
  try {
    await look();
    failures = 0;
  } catch {
    failures += 1; // the call has reported what it found; any reason is a reason to look again
  } finally {
    polling = false;
  }
  if (failures > 0) pollIn(backoff(failures - 1));
  else if (wanted) pollIn(SOON_S);
  else pollIn(socket.isOpen() && socket.silence() < CALM_S ? CALM_S : QUIET_S);
}

async function look() {
  const askedAt = performance.now();
  // The queue first: a prompt that ends in between is then found in the history.
  const { queue_running: running, queue_pending: pending } = await queue();
  const runningIds = new Set(running.map(([, id]) => id));
  const order = pending.toSorted((a, b) => a[0] - b[0]).map(([, id]) => id);
  for (const [id, entry] of [...followed]) {
    if (!entry.settle || !followed.has(id)) continue; // not accepted yet, or given up meanwhile
    if (entry.heardAt > askedAt) continue; // the socket was faster: the answer is out of date
    const place = order.indexOf(id);
    if (runningIds.has(id)) {
      entry.misses = 0;
      started(entry.job);
    } else if (place >= 0) {
      entry.misses = 0;
      entry.job.set({ stage: "queued", ahead: place + running.length, node: null, share: null, finishedNodes: new Set() });
    } else {
      await lookBack(id, entry);
    }
  }
}

async function lookBack(id, entry) {
  const found = await history(id);
  if (!followed.has(id)) return;
  if (found) return end(entry, outcome(found));
  entry.misses += 1;
  if (entry.misses >= MISSES) end(entry, { stage: "lost" });
  else pollIn(SOON_S);
}

function end({ job, settle }, result) {
  unfollow(job);
  settle(result);
}

// Timers sleep in a hidden tab: look at once when the person comes back.
document.addEventListener("visibilitychange", () => document.hidden || pollIn(0));
