// One photo that was handed in, as it is shown: its picture, where it stands and what can be done.

import { compare } from "./compare.js";
import { announce, h } from "./dom.js";
import { changes, isText, pick, t } from "./texts.js";
import { NODES } from "./workflow.js";

const STEPS = ["upload", "queue", ...Object.keys(NODES)];
const BUTTONS = { download: "primary", retry: "primary", cancel: "secondary", again: "secondary", remove: "secondary" };

/** The names of the buttons that help now; the same photo again does not help if it is the cause. */
function offered({ active, stage, fault }, faults) {
  if (active) return ["cancel"];
  if (stage === "done") return ["download", "again", "remove"];
  return faults[fault?.kind]?.users ? ["remove"] : ["retry", "again", "remove"];
}

export class Card {
  /** `does` maps a button's name to what it does with the job, `before(job)` yields its original. */
  constructor(job, faults, does, before) {
    Object.assign(this, { job, faults, before, urls: [], spoken: job.stage, comparison: null });
    this.build(does);
    this.refresh = () => this.show();
    job.addEventListener("change", this.refresh);
    changes.addEventListener("change", this.refresh);
    this.ticker = setInterval(() => this.showTime(), 1000);
    this.show();
  }

  build(does) {
    const id = `job-${this.job.id}`;
    this.title = h("h3", { id, tabindex: "-1" }, this.job.name);
    this.settings = h("p", { class: "hint" });
    this.state = h("p", { class: "state" });
    this.steps = h("ol", { class: "steps", "aria-hidden": "true" }, ...STEPS.map((step) => h("li", { "data-step": step })));
    this.progress = h("progress", { max: "1" });
    this.time = h("p", { class: "hint time" });
    this.notice = h("p", { class: "notice warning" });
    this.fault = h("div", { class: "fault" });
    this.details = h("details", {}, h("summary"), h("p", { class: "reason", lang: "en" }));
    this.buttons = Object.fromEntries(
      Object.entries(BUTTONS).map(([name, look]) => [name, h("button", { type: "button", class: `button ${look}`, onclick: () => does[name](this) })]),
    );
    this.frame = h("div", { class: "frame" }, this.job.preview ?? h("span", { class: "blank" }));
    this.picture = h("div", { class: "picture" }, this.frame);
    const body = h("div", { class: "body" }, this.title, this.settings, this.state, this.steps, this.progress,
      this.time, this.notice, this.fault, this.details, h("div", { class: "actions" }, ...Object.values(this.buttons)));
    this.element = h("li", { class: "job", "aria-labelledby": id }, this.picture, body);
  }

  show() {
    const { job } = this;
    this.element.dataset.stage = job.stage;
    const scenario = t(`scenario.${job.scenario}`);
    this.settings.textContent = t("job.settings", { scenario, size: job.size });
    this.state.textContent = t(`job.${job.stage}`);
    this.showSteps();
    this.showProgress();
    this.showTime();
    this.showNotice();
    this.showFault();
    this.showButtons();
    this.showPicture();
    this.speak();
  }

  showSteps() {
    const { job } = this;
    this.steps.hidden = !job.active;
    // Without a socket the page knows that the photo is worked on, but not by which node.
    const at = { waiting: "upload", uploading: "upload", queued: "queue" }[job.stage] ?? job.node;
    const reached = at === null ? STEPS.indexOf("queue") + 1 : STEPS.indexOf(at);
    for (const item of this.steps.children) {
      const { step } = item.dataset;
      item.textContent = t(`step.${NODES[step] ?? step}`);
      const isPast = job.finishedNodes.has(step) || STEPS.indexOf(step) < reached;
      item.dataset.at = step === at ? "now" : isPast ? "past" : "ahead";
    }
  }

  showProgress() {
    const { job } = this;
    this.progress.hidden = !job.active;
    this.progress.setAttribute("aria-label", t("job.progress", { name: job.name }));
    const share = job.stage === "uploading" ? job.sent : job.stage === "running" ? job.share : null;
    if (share === null) this.progress.removeAttribute("value");
    else this.progress.value = share;
    if (job.stage === "running" && job.node in NODES) this.state.textContent = t(`step.${NODES[job.node]}`);
  }

  showTime() {
    const { job } = this;
    let text = "";
    if (job.stage === "queued" && job.ahead !== null) {
      text = job.ahead > 0 ? t("job.ahead", { count: job.ahead }) : t("job.next");
    } else if (job.stage === "running") {
      text = t("job.elapsed", { seconds: Math.floor((performance.now() - job.startedAt) / 1000) });
    } else if (job.stage === "done" && job.seconds !== null) {
      text = t("job.took", { seconds: job.seconds < 10 ? job.seconds.toFixed(1) : Math.round(job.seconds) });
    }
    this.time.textContent = text;
    this.time.hidden = text === "";
  }

  showNotice() {
    const { busyFor, resent, notices } = this.job;
    const lines = busyFor !== null ? [t("job.busy", { seconds: busyFor })] : resent > 0 ? [t("job.resent")] : [];
    for (const { notice, values } of notices) {
      // A third party's node may say what the page has no words for.
      if (isText(`notice.${notice}`)) lines.push(t(`notice.${notice}`, values));
    }
    this.notice.textContent = lines.join("\n");
    this.notice.hidden = this.notice.textContent === "";
  }

  showFault() {
    const { stage, fault, id } = this.job;
    this.fault.hidden = stage !== "failed";
    const technical = stage === "failed" ? fault.reason : "";
    const [summary, text] = this.details.children;
    summary.textContent = t("job.details");
    text.textContent = technical;
    this.details.hidden = technical === "";
    if (this.fault.hidden) return;
    const { title, action } = this.explained();
    this.fault.replaceChildren(
      h("h4", {}, title),
      h("p", {}, h("strong", {}, t("job.todo")), h("span", {}, action)),
      h("p", { class: "hint" }, `${t("job.number")} `, h("code", {}, fault.trace ?? id)),
    );
  }

  /** Title and advice for the fault: the catalogue's, or the service's own words. */
  explained() {
    const { fault } = this.job;
    if (fault.gone) return { title: t("job.failed"), action: t("job.gone") };
    const known = this.faults[fault.kind];
    if (known) return { title: pick(known.title), action: pick(known.action) };
    return { title: fault.reason || t("job.failed"), action: pick(this.faults.execution_error.action) };
  }

  showButtons() {
    const names = offered(this.job, this.faults);
    const focused = Object.values(this.buttons).includes(document.activeElement);
    for (const [name, button] of Object.entries(this.buttons)) {
      button.hidden = !names.includes(name);
      button.textContent = t(`action.${name}`);
      button.setAttribute("aria-label", t(`action.${name}.of`, { name: this.job.name }));
    }
    if (focused && document.activeElement.hidden) this.title.focus();
  }

  showPicture() {
    const { result } = this.job;
    if (result && !this.comparison) this.compareWith(result);
    if (!result && this.comparison) {
      this.release();
      this.comparison = null;
      this.picture.replaceChildren(this.frame);
    }
    if (this.comparison) this.comparison.label(this.job.name);
  }

  compareWith(result) {
    const after = this.own(result);
    this.comparison = compare(this.job.file ? this.own(this.job.file) : null, after);
    this.picture.replaceChildren(this.comparison.element);
    if (this.job.file) return;
    this.before(this.job).then((file) => {
      if (this.job.result !== result) return; // removed or started over meanwhile
      this.job.file = file;
      this.comparison = compare(this.own(file), after);
      this.picture.replaceChildren(this.comparison.element);
      this.comparison.label(this.job.name);
    }, () => {}); // the original is gone from the service: the result alone is shown
  }

  speak() {
    const { stage, name } = this.job;
    if (stage === this.spoken) return;
    this.spoken = stage;
    if (stage === "failed") announce(t("say.failed", { name, title: this.explained().title }));
    else if (stage === "done" || stage === "cancelled") announce(t(`say.${stage}`, { name }));
  }

  /** An object URL of `blob` that goes with the card. */
  own(blob) {
    const url = URL.createObjectURL(blob);
    this.urls.push(url);
    return url;
  }

  release() {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [];
  }

  download() {
    const { name, picture } = this.job;
    const extension = /\.\w+$/.exec(picture.filename)?.[0] ?? ".png";
    const stem = name.replace(/\.\w{1,5}$/, "");
    h("a", { href: this.urls[0], download: `${stem}-ddcolor${extension}` }).click();
  }

  remove() {
    clearInterval(this.ticker);
    this.job.removeEventListener("change", this.refresh);
    changes.removeEventListener("change", this.refresh);
    this.release();
    this.element.remove();
  }
}
