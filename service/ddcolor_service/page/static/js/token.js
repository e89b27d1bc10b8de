// The bearer token, asked for only when the service wants one. It lives in this tab alone.

import { byId } from "./dom.js";

const KEY = "ddcolor.token";
let token = stored();
let asking = null;

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export const bearer = () => token;

/**
 * Ask for a token and resolve to it, or to null when the person would rather not. `refused` is the
 * token that the service did not take: callers that come late get the one already entered instead.
 */
export function askToken(refused) {
  if (token && token !== refused) return Promise.resolve(token);
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

function ask() {
  const dialog = byId("token");
  const field = byId("token-value");
  field.value = "";
  byId("token-cancel").onclick = () => dialog.close();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = () => {
      token = field.value.trim();
      try {
        sessionStorage.setItem(KEY, token);
      } catch {
        // then it lasts as long as the page
      }
      resolve(token || null);
    };
    dialog.onclose = () => resolve(null); // after a submit this changes nothing any more
  });
}
