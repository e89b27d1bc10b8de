// Choosing: photos, what they show, and the size, with advice while choosing.

import { announce, byId, h } from "./dom.js";
import { inspect, isPhoto } from "./photo.js";
import { changes, t } from "./texts.js";

const OFFERED = { min: 256, max: 1536 }; // pixels; far outside it nobody gets a better picture

export class Composer {
  /** `shared` is the catalogue (sizes, sizeStep, largePhotoPx); `onStart(photos, settings)`. */
  constructor(shared, onStart) {
    Object.assign(this, { shared, onStart, photos: [], error: null });
    this.size = byId("size");
    this.files = byId("files");
    Object.assign(this.size, { ...OFFERED, step: shared.sizeStep });
    this.listen();
    this.chooseScenario();
    this.take(); // what was chosen while the page was still loading
    changes.addEventListener("change", () => this.show());
  }

  listen() {
    byId("composer").onsubmit = (event) => {
      event.preventDefault();
      this.start();
    };
    for (const radio of document.getElementsByName("scenario")) radio.onchange = () => this.chooseScenario();
    this.size.oninput = () => this.showSize();
    byId("size-less").onclick = () => this.step(-1);
    byId("size-more").onclick = () => this.step(1);
    this.files.onchange = () => this.take();
    this.listenForDrops();
  }

  take() {
    this.add([...this.files.files]);
    this.files.value = ""; // the same file may be chosen again after it was removed
  }

  /** A photo may be dropped anywhere: missing the field must not make the browser open it instead. */
  listenForDrops() {
    const drop = byId("drop");
    let depth = 0;
    const mark = (change) => {
      depth = Math.max(0, change === 0 ? 0 : depth + change);
      drop.classList.toggle("over", depth > 0);
    };
    addEventListener("dragenter", () => mark(1));
    addEventListener("dragleave", () => mark(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      mark(0);
      this.add([...event.dataTransfer.files]);
    });
    addEventListener("paste", (event) => this.add([...event.clipboardData.files]));
  }

  get scenario() {
    return document.querySelector("[name=scenario]:checked").value;
  }

  get advice() {
    return this.shared.sizes[this.scenario];
  }

  chooseScenario() {
    this.size.value = this.advice.default;
    this.show();
  }

  /** Put a photo back with the settings it had. */
  async reuse(file, scenario, size) {
    byId(scenario).checked = true;
    this.size.value = size;
    await this.add([file]);
    this.size.focus();
    byId("composer").scrollIntoView({ block: "start" });
  }

  step(direction) {
    if (direction < 0) this.size.stepDown();
    else this.size.stepUp();
    this.showSize();
  }

  async add(files) {
    if (files.length === 0) return;
    const wrong = files.filter((file) => !isPhoto(file));
    this.error = wrong.length > 0 ? { key: "drop.notImages", values: { names: wrong.map((file) => file.name).join("、") } } : null;
    const added = files.filter(isPhoto).map((file) => this.item(file));
    this.photos.push(...added);
    byId("chosen").append(...added.map((photo) => photo.element));
    if (added.length > 0) announce(t("chosen.added", { count: this.photos.length }));
    this.show();
    for (const photo of added) {
      Object.assign(photo, await inspect(photo.file), { inspected: true });
      if (photo.preview) photo.element.firstElementChild.replaceWith(photo.preview);
      this.showPhoto(photo);
    }
  }

  remove(photo) {
    const index = this.photos.indexOf(photo);
    this.photos.splice(index, 1);
    photo.element.remove();
    this.show();
    const next = this.photos[Math.min(index, this.photos.length - 1)];
    (next?.button ?? this.files).focus();
  }

  start() {
    if (this.photos.length === 0) {
      this.error = { key: "drop.none", values: {} };
      this.show();
      this.files.focus();
      return;
    }
    const chosen = this.photos;
    this.photos = [];
    this.error = null;
    byId("chosen").replaceChildren();
    this.show();
    this.onStart(chosen, { scenario: this.scenario, size: Number(this.size.value) });
  }

  show() {
    this.showSize();
    this.showPhotos();
    const error = byId("files-error");
    error.hidden = this.error === null;
    error.textContent = this.error ? t(this.error.key, this.error.values) : "";
    const count = this.photos.length;
    byId("start").textContent = count > 1 ? t("start.many", { count }) : t("start");
    byId("drop").classList.toggle("compact", count > 0);
  }

  showSize() {
    const size = Number(this.size.value);
    const { smallest, largest } = this.advice;
    const verdict = size < smallest ? "below" : size > largest ? "above" : "within";
    const scenario = t(`scenario.${this.scenario}`);
    const hint = byId("size-hint");
    byId("size-value").textContent = t("size.pixels", { size });
    byId("size-band").textContent = t("size.band", { smallest, largest });
    hint.textContent = t(`size.${verdict}`, { scenario, smallest, largest });
    hint.classList.toggle("warning", verdict !== "within");
    hint.classList.toggle("good", verdict === "within");
    this.size.setAttribute("aria-valuetext", t("size.pixels", { size }));
    const share = (value) => String((value - OFFERED.min) / (OFFERED.max - OFFERED.min));
    this.size.parentElement.style.setProperty("--from", share(smallest));
    this.size.parentElement.style.setProperty("--to", share(largest));
    byId("size-less").disabled = size <= OFFERED.min;
    byId("size-more").disabled = size >= OFFERED.max;
  }

  showPhotos() {
    byId("chosen").hidden = this.photos.length === 0;
    this.photos.forEach((photo) => this.showPhoto(photo));
  }

  showPhoto({ name, width, height, inspected, facts, warning, button }) {
    const limit = this.shared.largePhotoPx;
    facts.textContent = width === null ? "" : t("chosen.pixels", { width, height });
    if (inspected && width === null) warning.textContent = t("chosen.unreadable");
    else if (Math.max(width, height) > limit) warning.textContent = t("chosen.large", { limit });
    warning.hidden = warning.textContent === "";
    button.setAttribute("aria-label", t("chosen.remove", { name }));
  }

  /** A chosen photo with the row that shows it. */
  item(file) {
    const photo = { file, name: file.name, width: null, height: null, preview: null, inspected: false };
    photo.facts = h("p", { class: "hint" });
    photo.warning = h("p", { class: "notice warning" });
    photo.button = h("button", { type: "button", class: "quiet square", onclick: () => this.remove(photo) }, "×");
    const words = h("div", {}, h("p", { class: "name" }, photo.name), photo.facts);
    photo.element = h("li", {}, h("span", { class: "blank" }), words, photo.button, photo.warning);
    return photo;
  }
}
