// The photos handed in: their state, and nothing about how it is shown or found out.

export const ACTIVE = new Set(["waiting", "uploading", "queued", "running"]);

/** A random version 4 UUID; crypto.randomUUID is missing on plain-http addresses. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export class Job extends EventTarget {
  /**
   * After a reload of the page `file` is absent, `image` is what the upload was answered and
   * `picture`, if there is one, the result as the history named it.
   */
  constructor({ id = uuid(), name, scenario, size, file = null, image = null, preview = null, picture = null, seconds = null, notices = [] }) {
    super();
    this.renew();
    Object.assign(this, { id, name, scenario, size, file, image, preview, picture, seconds, notices });
  }

  renew() {
    this.stopper = new AbortController();
    Object.assign(this, {
      stage: "waiting", sent: 0, ahead: null, node: null, finishedNodes: new Set(), share: null, startedAt: null,
      seconds: null, busyFor: null, resent: 0, fault: null, picture: null, notices: [], result: null,
    });
  }

  /** Start over as a new prompt. */
  restart() {
    this.id = uuid();
    this.renew();
    this.set({});
  }

  get active() {
    return ACTIVE.has(this.stage);
  }

  set(values) {
    Object.assign(this, values);
    this.dispatchEvent(new Event("change"));
  }
}

const KEY = "ddcolor.jobs";

/** Keep what finds the accepted jobs again after a reload of this tab. */
export function remember(jobs) {
  const kept = jobs
    .filter((job) => job.image && job.stage !== "cancelled" && job.stage !== "failed")
    .map(({ id, name, scenario, size, image, picture, seconds, notices }) => ({ id, name, scenario, size, image, picture, seconds, notices }));
  try {
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // then a reload starts afresh
  }
}

export function recall() {
  try {
    return (JSON.parse(sessionStorage.getItem(KEY)) ?? []).map((kept) => new Job(kept));
  } catch {
    return [];
  }
}
