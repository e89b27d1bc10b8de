// Whether the service can be reached, as the calls and the socket find out.

import { byId, announce } from "./dom.js";
import { changes, t } from "./texts.js";

let lost = false;

export function reached() {
  if (!lost) return;
  lost = false;
  show();
  announce(t("connection.back"));
}

export function unreachable() {
  if (lost) return;
  lost = true;
  show();
  announce(t("connection.lost")); // a live region that appears together with its text may stay unheard
}

function show() {
  const banner = byId("connection");
  banner.textContent = lost ? t("connection.lost") : "";
  banner.hidden = !lost;
}

changes.addEventListener("change", show);

/** Seconds to wait before try `attempt` (0, 1, 2, …): 1, 2, 4, 8, 10, 10, … */
export const backoff = (attempt) => Math.min(2 ** attempt, 10);

/** Resolve after `seconds`, sooner when the network comes back; reject when `signal` aborts. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle) => () => {
      clearTimeout(timer);
      removeEventListener("online", wake);
      signal?.removeEventListener("abort", stop);
      settle(signal?.reason);
    };
    const wake = end(resolve);
    const stop = end(reject);
    const timer = setTimeout(wake, seconds * 1000);
    if (signal?.aborted) return stop();
    addEventListener("online", wake);
    signal?.addEventListener("abort", stop);
  });
}
