// The workflow of one photo in ComfyUI's API form, and how its outcome is read from the history.

import { nodeInfo } from "./api.js";

export const NODES = { 1: "LoadImage", 2: "DDColor_Colorize", 3: "SaveImage" };
const NAMES = { person: "DDColor人物黑白修复", building: "DDColor建筑黑白修复" };
const COLORIZE = "DDColor_Colorize";

/** The body of POST /prompt for `job`; `image` is what the upload was answered. */
export async function promptBody(job, clientId) {
  const info = await nodeInfo(COLORIZE);
  const [choices, options] = info.input.required.checkpoint;
  const image = [job.image.subfolder, job.image.name].filter(Boolean).join("/");
  return {
    prompt_id: job.id,
    client_id: clientId,
    prompt: {
      1: { class_type: "LoadImage", inputs: { image } },
      2: { class_type: COLORIZE, inputs: { image: ["1", 0], model_input_size: job.size, checkpoint: options?.default ?? choices[0] } },
      3: { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "DDColor" } },
    },
    extra_data: { workflow_name: NAMES[job.scenario], scenario: job.scenario },
  };
}

/** `{stage, ...}` of a finished prompt's history entry. */
export function outcome(entry) {
  const messages = new Map(entry.status?.messages ?? []);
  const began = messages.get("execution_start")?.timestamp;
  const error = messages.get("execution_error");
  if (error) {
    return { stage: "failed", fault: { kind: error.kind ?? null, reason: error.exception_message ?? "" } };
  }
  if (messages.has("execution_interrupted")) return { stage: "cancelled" };
  const outputs = Object.values(entry.outputs ?? {});
  const picture = outputs.flatMap((output) => output.images ?? [])[0] ?? null;
  const notices = entry.status.messages.filter(([event]) => event === "ddcolor_notice").map(([, data]) => data);
  const ended = messages.get("execution_success")?.timestamp;
  return { stage: "done", picture, notices, seconds: ended && began ? (ended - began) / 1000 : null };
}
