// Texts of the page in Chinese and English. Elements name their text by data-text (content) or
// data-label (aria-label); everything else calls t().

import en from "../texts/en.js";
import zh from "../texts/zh.js";

const LANGUAGES = { zh: { texts: zh, tag: "zh-CN" }, en: { texts: en, tag: "en" } };
const KEY = "ddcolor.language";

export const changes = new EventTarget();
let current = remembered() ?? "zh";

function remembered() {
  try {
    const value = localStorage.getItem(KEY);
    return value in LANGUAGES ? value : null;
  } catch {
    return null; // storage can be forbidden; the page then simply starts in Chinese
  }
}

/** The text of `key`, with {name} replaced from `values`. */
export function t(key, values = {}) {
  const text = LANGUAGES[current].texts[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Say whether `key` has a text. */
export const isText = (key) => Object.hasOwn(LANGUAGES[current].texts, key);

/** The text in the current language out of `{zh, en}`, as the fault catalogue holds them. */
export const pick = (text) => text[current];

export const other = () => (current === "zh" ? "en" : "zh");
export const tagOf = (language) => LANGUAGES[language].tag;

export function setLanguage(language) {
  current = language;
  try {
    localStorage.setItem(KEY, language);
  } catch {
    // the choice then lasts as long as the page
  }
  apply();
  changes.dispatchEvent(new Event("change"));
}

/** Fill in every static text below `root`. */
export function apply(root = document) {
  document.documentElement.lang = LANGUAGES[current].tag;
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
  }
}
