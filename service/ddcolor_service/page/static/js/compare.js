// Before and after, one over the other, with a line between them that is dragged or moved by keys.

import { h } from "./dom.js";
import { t } from "./texts.js";

const START_PERCENT = 50;

/** `before` is null when this browser cannot show the original. Texts come by `label(name)`. */
export function compare(before, after) {
  const slider = h("input", { type: "range", min: 0, max: 100, value: START_PERCENT, class: "compare-range" });
  const afterImage = h("img", { src: after, alt: "", class: "after", decoding: "async", draggable: "false" });
  const beforeTag = h("span", { class: "tag tag-before", "aria-hidden": "true" });
  const afterTag = h("span", { class: "tag tag-after", "aria-hidden": "true" });
  const figure = h("figure", { class: "compare" }, afterImage);

  afterImage.onload = () => {
    const { naturalWidth: width, naturalHeight: height } = afterImage;
    figure.style.setProperty("--ratio", String(width / height));
    figure.classList.add("ready");
  };

  if (before !== null) {
    const beforeImage = h("img", { src: before, alt: "", class: "before", decoding: "async", draggable: "false" });
    const line = h("span", { class: "line", "aria-hidden": "true" }, h("span", { class: "grip" }));
    const extras = [beforeImage, line, beforeTag, afterTag, slider];
    figure.append(...extras);
    beforeImage.onerror = () => extras.forEach((element) => element.remove());
    slider.oninput = () => show(slider, figure);
    figure.onpointerdown = (event) => {
      if (event.button !== 0 || !slider.isConnected) return;
      figure.setPointerCapture(event.pointerId);
      moveTo(event, slider, figure);
      slider.focus({ preventScroll: true });
      event.preventDefault(); // or the focus goes to the figure and the picture is dragged away
    };
    figure.onpointermove = (event) => {
      if (figure.hasPointerCapture(event.pointerId)) moveTo(event, slider, figure);
    };
    show(slider, figure);
  }

  const label = (name) => {
    afterImage.alt = `${name}: ${t("compare.after")}`;
    slider.setAttribute("aria-label", t("compare.label", { name }));
    beforeTag.textContent = t("compare.before");
    afterTag.textContent = t("compare.after");
    show(slider, figure);
  };
  return { element: figure, label };
}

function moveTo(event, slider, figure) {
  const box = figure.getBoundingClientRect();
  slider.value = String(Math.round(((event.clientX - box.left) / box.width) * 100));
  show(slider, figure);
}

function show(slider, figure) {
  figure.style.setProperty("--split", `${slider.value}%`);
  slider.setAttribute("aria-valuetext", t("compare.value", { percent: slider.value }));
}
