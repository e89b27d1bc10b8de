// Takes a job from the chosen file to the picture: upload, prompt, follow, fetch.

import * as api from "./api.js";
import { backoff, pause } from "./connection.js";
import { remember } from "./jobs.js";
import { clientId } from "./socket.js";
import { follow, listen, unfollow } from "./tracker.js";
import { promptBody } from "./workflow.js";

const RESENDS = 2; // a photo that takes the service down with it must not do so for ever

let uploading = Promise.resolve(); // one upload at a time: the first photo starts soonest

/**
 * Run `job` to its end; never rejects. `all()` are the jobs to remember for a reload, `accepted` says
 * that the service took the prompt before such a reload.
 */
export async function run(job, all, accepted = false) {
  const { signal } = job.stopper;
  try {
    if (!job.picture) {
      const ended = await carryThrough(job, signal, all, accepted);
      if (ended.stage !== "done") return job.set(ended);
      Object.assign(job, { picture: ended.picture, notices: ended.notices, seconds: ended.seconds });
    }
    const blob = await patiently(job, () => api.view(job.picture, signal));
    job.set({ stage: "done", result: blob });
  } catch (error) {
    if (signal.aborted) job.set({ stage: "cancelled" });
    else if (job.picture && error.status === 404) job.set({ stage: "failed", fault: { gone: true, reason: "" } });
    else job.set({ stage: "failed", fault: { kind: error.kind ?? null, reason: error.message, trace: error.trace } });
  } finally {
    unfollow(job);
    remember(all());
  }
}

async function carryThrough(job, signal, all, accepted) {
  for (let known = accepted; ; known = false) {
    if (!known) await handIn(job, signal, all);
    const ended = await aborted(follow(job), signal);
    if (ended.stage === "done" && ended.picture === null) {
      return { stage: "failed", fault: { kind: "output_damaged", reason: "the prompt made no picture" } };
    }
    if (ended.stage !== "lost") return ended;
    if (job.resent >= RESENDS) return { stage: "failed", fault: { kind: "service_down", reason: "" } };
    job.set({ stage: "waiting", resent: job.resent + 1 });
  }
}

/** Upload the photo and queue its prompt. */
async function handIn(job, signal, all) {
  const turn = uploading;
  let done;
  uploading = new Promise((resolve) => (done = resolve));
  await turn;
  try {
    signal.throwIfAborted();
    if (job.file) {
      job.set({ stage: "uploading", sent: 0 });
      await checkSize(job, signal);
      const send = () => api.upload(job.file, uploadName(job), (sent) => job.set({ sent }), signal);
      job.image = await patiently(job, send);
    }
    await listen(job);
    await patiently(job, async (attempt) => {
      // An answer that never came says nothing about whether the prompt was taken.
      if (attempt > 0 && (await isKnown(job.id))) return;
      await api.postPrompt(await promptBody(job, clientId), signal);
    });
    if (job.stage !== "running") job.set({ stage: "queued" });
    remember(all());
  } finally {
    done();
  }
}

/**
 * Refuse a file that the service would not take. Its own refusal may come as a cut connection in the
 * middle of the upload, which looks like a network that is worth another try.
 */
async function checkSize(job, signal) {
  const { max_upload_size: limit } = await patiently(job, () => api.features(signal));
  if (job.file.size > limit) throw new api.Refused(413, { kind: "image_too_large", reason: `more than ${limit} bytes are not taken` });
}

/** A name that says nothing about the person: what a file is called can be private. */
function uploadName(job) {
  const extension = /\.[a-z0-9]{1,5}$/i.exec(job.file.name)?.[0] ?? "";
  return `photo-${job.id.slice(0, 8)}${extension.toLowerCase()}`;
}

async function isKnown(id) {
  const { queue_running: running, queue_pending: pending } = await api.queue();
  return [...running, ...pending].some(([, known]) => known === id) || (await api.history(id)) !== null;
}

/** Make a call until it is answered, however long the service is away or busy. */
async function patiently(job, call) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call(attempt);
    } catch (error) {
      if (error instanceof api.Busy) {
        job.set({ busyFor: error.seconds });
        await pause(error.seconds, job.stopper.signal);
        job.set({ busyFor: null });
      } else if (error instanceof api.Unreachable) {
        await pause(backoff(attempt), job.stopper.signal);
      } else throw error;
    }
  }
}

function aborted(promise, signal) {
  signal.throwIfAborted();
  return Promise.race([
    promise,
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
}

/** Stop `job` here and, if it got that far, in the service. */
export async function cancel(job) {
  const accepted = job.stage === "queued" || job.stage === "running";
  unfollow(job);
  job.stopper.abort();
  if (accepted) await api.cancel(job.id).catch(() => {}); // the person has moved on already
}

/** The photo that was handed in, as a file, also after a reload of the page. */
export async function original(job) {
  if (job.file) return job.file;
  const blob = await api.view({ filename: job.image.name, subfolder: job.image.subfolder, type: job.image.type });
  return new File([blob], job.name, { type: blob.type });
}
