// Start of the page: brings the parts together.

import { Card } from "./card.js";
import { Composer } from "./composer.js";
import { pause } from "./connection.js";
import { byId } from "./dom.js";
import { Job, recall, remember } from "./jobs.js";
import { cancel, original, run } from "./runner.js";
import { apply, changes, other, setLanguage, t, tagOf } from "./texts.js";

const cards = new Map(); // job → card, in the order of handing in
const jobs = () => [...cards.keys()];

/** The texts and sizes that the service shares with the page; asked for until they come. */
async function loadShared() {
  for (;;) {
    const response = await fetch("page/catalogue.json").catch(() => null);
    if (response?.ok) return response.json();
    await pause(2);
  }
}

function showFrame() {
  apply();
  const button = byId("language");
  button.textContent = t("language.other");
  button.lang = tagOf(other());
  showCount();
}

function showCount() {
  const all = jobs().length;
  const done = jobs().filter((job) => !job.active).length;
  document.title = done < all ? t("title.working", { done, all }) : t("title");
  byId("work").hidden = all === 0;
}

async function start() {
  byId("language").onclick = () => setLanguage(other());
  changes.addEventListener("change", showFrame);
  showFrame();
  const shared = await loadShared();
  const composer = new Composer(shared, (photos, settings) => {
    const added = photos.map((photo) => add(new Job({ ...photo, ...settings })));
    added.forEach((job) => run(job, jobs));
    byId("work-title").focus();
  });
  const does = {
    download: (card) => card.download(),
    cancel: ({ job }) => cancel(job),
    retry: ({ job }) => {
      job.restart();
      run(job, jobs);
    },
    again: async ({ job }) => composer.reuse(await original(job), job.scenario, job.size),
    remove: (card) => {
      const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
      card.remove();
      cards.delete(card.job);
      remember(jobs());
      showCount();
      (next?.querySelector("h3") ?? byId("files")).focus();
    },
  };

  function add(job) {
    const card = new Card(job, shared.faults, does, original);
    cards.set(job, card);
    byId("jobs").append(card.element);
    job.addEventListener("change", showCount);
    showCount();
    return job;
  }

  recall().map(add).forEach((job) => run(job, jobs, true));
}

start();
