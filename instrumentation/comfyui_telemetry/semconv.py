"""Every attribute, event and metric name that this project emits, declared once.

A constant is the plain name, so it can be used wherever a string is wanted; the declaration behind
it (type, meaning, example, stability) is in :data:`ATTRIBUTES`, :data:`EVENTS` and :data:`METRICS`.
Names without the prefix ``comfyui.`` or ``ddcolor.`` are OpenTelemetry's own semantic conventions
(https://opentelemetry.io/docs/specs/semconv/); ``log.record.uid`` is theirs too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ValueType = Literal["string", "int", "double", "boolean", "string[]"]
Stability = Literal["stable", "development"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One declared attribute of spans, log records or metrics."""

    name: str
    type: ValueType
    brief: str
    example: str | int | float | bool | tuple[str, ...]
    unit: str = ""
    stability: Stability = "development"


@dataclass(frozen=True, slots=True)
class Event:
    """One declared log event; ``name`` is the value of ``event.name``."""

    name: str
    brief: str
    stability: Stability = "development"


@dataclass(frozen=True, slots=True)
class Metric:
    """One declared metric with its unit in UCUM."""

    name: str
    instrument: Literal["histogram", "counter", "updowncounter", "gauge"]
    unit: str
    brief: str
    stability: Stability = "development"


ATTRIBUTES: dict[str, Attribute] = {}
EVENTS: dict[str, Event] = {}
METRICS: dict[str, Metric] = {}


def _attribute(
    name: str,
    type_: ValueType,
    brief: str,
    example: str | int | float | bool | tuple[str, ...],
    *,
    unit: str = "",
    stability: Stability = "development",
) -> str:
    ATTRIBUTES[name] = Attribute(name, type_, brief, example, unit, stability)
    return name


def _event(name: str, brief: str) -> str:
    EVENTS[name] = Event(name, brief)
    return name


def _metric(
    name: str,
    instrument: Literal["histogram", "counter", "updowncounter", "gauge"],
    unit: str,
    brief: str,
) -> str:
    METRICS[name] = Metric(name, instrument, unit, brief)
    return name


# --- OpenTelemetry's own ------------------------------------------------------------------------
SERVICE_NAME = _attribute(
    "service.name", "string", "Logical name of the service.", "ddcolor-service", stability="stable"
)
SERVICE_VERSION = _attribute(
    "service.version", "string", "Version of the service.", "0.1.0", stability="stable"
)
SERVICE_INSTANCE_ID = _attribute(
    "service.instance.id", "string", "One process of the service.", "6f0c2a…", stability="stable"
)
LOG_RECORD_UID = _attribute(
    "log.record.uid", "string", "Identifies one log record for ever.", "01JD3Z7K0V8Q6T1B9M4X2C5N7P"
)
SCOPE_NAME = _attribute(
    "otel.scope.name",
    "string",
    "Logger or tracer that made the record.",
    "ddcolor_service.http",
    stability="stable",
)
LOG_FILE_NAME = _attribute(
    "log.file.name", "string", "File of a log line that was not in our form.", "service.jsonl"
)
LOG_TIMESTAMP = _attribute(
    "ddcolor.log.timestamp",
    "string",
    "What a log line gave as its time, where that was none; it has the time of its reading.",
    "yesterday",
)
EVENT_NAME = _attribute("event.name", "string", "The kind of a log event.", "comfyui.node.finished")
ERROR_TYPE = _attribute(
    "error.type",
    "string",
    "Fully qualified exception name.",
    "PIL.UnidentifiedImageError",
    stability="stable",
)
ERROR_MESSAGE = _attribute(
    "error.message", "string", "The exception's message, redacted and capped.", "cannot identify"
)
ERROR_STACK_TRACE = _attribute(
    "error.stack_trace", "string", "The traceback, redacted and capped.", "Traceback (most …"
)
HTTP_REQUEST_METHOD = _attribute(
    "http.request.method", "string", "HTTP method.", "POST", stability="stable"
)
HTTP_ROUTE = _attribute("http.route", "string", "The matched route.", "/prompt", stability="stable")
HTTP_RESPONSE_STATUS_CODE = _attribute(
    "http.response.status_code", "int", "HTTP status answered.", 200, stability="stable"
)

PROCESS_MEMORY_USAGE = _attribute(
    "process.memory.usage", "int", "Resident memory of the process.", 1_600_000_000, unit="By"
)
PROCESS_MEMORY_SLOPE = _attribute(
    "process.memory.slope",
    "double",
    "Trend of the resident memory over the last ten minutes; a leak stays positive.",
    2048.0,
    unit="By/s",
)
HW_ID = _attribute("hw.id", "string", "Identifies one GPU for ever.", "GPU-5fd4f7ac-…")
HW_NAME = _attribute("hw.name", "string", "Name of the GPU.", "NVIDIA H100 80GB HBM3")
HW_GPU_TASK = _attribute("hw.gpu.task", "string", "general | encoder | decoder.", "general")
HW_GPU_MEMORY_UTILIZATION = _attribute(
    "hw.gpu.memory.utilization",
    "double",
    "Used share of the fullest GPU's memory, 0 to 1.",
    0.62,
    unit="1",
)
HW_GPU_UTILIZATION = _attribute(
    "hw.gpu.utilization", "double", "Load of the busiest GPU, 0 to 1.", 0.97, unit="1"
)

# --- ComfyUI ------------------------------------------------------------------------------------
PROMPT_ID = _attribute("comfyui.prompt.id", "string", "Id of the prompt.", "8b1f0c6e-…")
PROMPT_OUTCOME = _attribute(
    "comfyui.prompt.outcome",
    "string",
    "success | failed | interrupted | rejected | removed (from the queue, unrun).",
    "success",
)
PROMPT_NODE_COUNT = _attribute("comfyui.prompt.node_count", "int", "Nodes in the prompt.", 3)
PROMPT_DURATION = _attribute(
    "comfyui.prompt.duration_s", "double", "Time from start to end of execution.", 4.2, unit="s"
)
QUEUE_WAIT = _attribute(
    "comfyui.queue.wait_s", "double", "Time the prompt waited in the queue.", 0.01, unit="s"
)
QUEUE_DEPTH = _attribute("comfyui.queue.depth", "int", "Prompts waiting.", 2, unit="{prompt}")
QUEUE_OLDEST_WAIT = _attribute(
    "comfyui.queue.oldest_wait_s",
    "double",
    "How long the prompt at the head of the queue has waited so far.",
    4.5,
    unit="s",
)
WORKFLOW_NAME = _attribute("comfyui.workflow.name", "string", "The workflow, if told.", "person")
NODE_ID = _attribute("comfyui.node.id", "string", "Id of the node in its prompt.", "2")
NODE_CLASS_TYPE = _attribute(
    "comfyui.node.class_type", "string", "Class of the node.", "DDColor_Colorize"
)
NODE_OUTCOME = _attribute(
    "comfyui.node.outcome",
    "string",
    "executed | cached | failed | skipped | interrupted.",
    "executed",
)
NODE_DURATION = _attribute(
    "comfyui.node.duration_s", "double", "Time the node has run (so far).", 3.9, unit="s"
)
HOOK_NAME = _attribute("comfyui.hook.name", "string", "Hook of the ComfyUI pack.", "nodes")
HOOK_TARGET = _attribute(
    "comfyui.hook.target", "string", "What the hook sits on in ComfyUI.", "execution.execute"
)
ERROR_KIND = _attribute(
    "comfyui.error.kind", "string", "Kind of the fault in the error catalogue.", "out_of_memory"
)
ERROR_LEVEL = _attribute(
    "comfyui.error.level", "int", "1 recorded, 2 chat, 3 chat + SMS + mail + healing.", 2
)

# --- DDColor and this project's own parts -------------------------------------------------------
SCENARIO = _attribute("ddcolor.scenario", "string", "person | building.", "person")
MODEL_NAME = _attribute(
    "ddcolor.model.name", "string", "Checkpoint's name.", "ddcolor_modelscope.pth"
)
MODEL_SHA256 = _attribute(
    "ddcolor.model.sha256", "string", "First 16 hex digits of the checkpoint's sha256.", "9f86d081…"
)
MODEL_VARIANT = _attribute("ddcolor.model.variant", "string", "large | tiny | demo.", "demo")
MODEL_LOAD_DURATION = _attribute(
    "ddcolor.model.load_s", "double", "Time to load the checkpoint.", 0.4, unit="s"
)
MODEL_INPUT_SIZE = _attribute(
    "ddcolor.model.input_size", "int", "Side of the network's square input.", 512, unit="px"
)
INFERENCE_DURATION = _attribute(
    "ddcolor.inference.duration_s", "double", "Time of the network's forward pass.", 2.1, unit="s"
)
DEVICE = _attribute("ddcolor.device", "string", "Device of the inference.", "cuda:0")
DEVICE_DURATION = _attribute(
    "ddcolor.device.duration_s",
    "double",
    "Time between the node's first and last work on the GPU, by CUDA events.",
    1.9,
    unit="s",
)
DEVICE_MEMORY_PEAK = _attribute(
    "ddcolor.device.memory_peak", "int", "Peak device memory of the node.", 1_200_000_000, unit="By"
)
IMAGE_WIDTH = _attribute("ddcolor.image.width", "int", "Width of the photo.", 640, unit="px")
IMAGE_HEIGHT = _attribute("ddcolor.image.height", "int", "Height of the photo.", 480, unit="px")
IMAGE_SHA256 = _attribute(
    "ddcolor.image.sha256",
    "string",
    "First 16 hex digits of the photo file's sha256: recognises a photo without its name.",
    "2c26b46b68ffc68f",
)
PART_NAME = _attribute("ddcolor.part.name", "string", "Part of the stack spoken of.", "gateway")
PART_EXIT = _attribute("ddcolor.part.exit", "string", "How the part ended.", "signal 9")
PART_RESTARTS = _attribute("ddcolor.part.restarts", "int", "Restarts of the part so far.", 1)
ALERT_ID = _attribute("ddcolor.alert.id", "string", "Deterministic id of the alert.", "3f2c…")
ALERT_RULE = _attribute("ddcolor.alert.rule", "string", "Rule that fired.", "keyword_out_of_memory")
ALERT_KIND = _attribute(
    "ddcolor.alert.kind",
    "string",
    "Kind of the fault that the alert speaks of; not comfyui.error.kind, which only the record of"
    " the fault itself carries, so that no rule counts an alert as a fault.",
    "out_of_memory",
)
ALERT_LEVEL = _attribute("ddcolor.alert.level", "int", "Level of the alert, 1 to 3.", 2)
ALERT_ATTEMPTS = _attribute(
    "ddcolor.alert.attempts", "int", "Tries of the delivery so far.", 3, unit="{attempt}"
)
ALERT_CHANNEL = _attribute("ddcolor.alert.channel", "string", "Channel of a delivery.", "wecom")
ALERT_STATUS = _attribute(
    "ddcolor.alert.status",
    "string",
    "accepted | held_back | delivered | retry | dead; of an episode's end: quiet | resolved.",
    "delivered",
)
ALERT_HELD_BACK = _attribute(
    "ddcolor.alert.held_back", "int", "Alerts held back since the last message.", 4
)
ALERT_TIME_TO_DELIVER = _attribute(
    "ddcolor.alert.time_to_deliver_s",
    "double",
    "From the fault to the channel's confirmation.",
    1.8,
    unit="s",
)
ALERT_TIME_TO_ACK = _attribute(
    "ddcolor.alert.time_to_ack_s",
    "double",
    "From the first alert of an episode to its acknowledgement.",
    95.0,
    unit="s",
)
ALERT_ACKNOWLEDGED_BY = _attribute(
    "ddcolor.alert.acknowledged_by", "string", "Who acknowledged the alert.", "zhang"
)
ALERT_ESCALATION = _attribute(
    "ddcolor.alert.escalation", "int", "Number of this escalation of an episode.", 1
)
ALERT_TOTAL = _attribute("ddcolor.alert.total", "int", "Alerts of a whole episode.", 12)
ALERT_ACTIVE = _attribute("ddcolor.alert.active", "int", "Episodes that are not over.", 2)
ALERTING_RULES = _attribute("ddcolor.alerting.rules", "int", "Alert rules that run.", 12)
ALERTING_CYCLE = _attribute(
    "ddcolor.alerting.cycle_s", "double", "Time of one round of all alert rules.", 1.1, unit="s"
)
LOG_MALFORMED = _attribute(
    "ddcolor.log.malformed",
    "boolean",
    "A line that is not JSON with a message; the body is the whole line. Set by the agent.",
    True,
)
TELEMETRY_DROPPED = _attribute(
    "comfyui.telemetry.dropped", "int", "Records or spans lost since the last report.", 12
)

TELEMETRY_REASON = _attribute(
    "comfyui.telemetry.reason", "string", "Why telemetry is lost or limited.", "span_queue_full"
)
TELEMETRY_LEFT_OUT = _attribute(
    "comfyui.telemetry.left_out", "int", "Attributes left out of an overfull record.", 3
)
DOCUMENT_TARGET = _attribute(
    "ddcolor.document.target",
    "string",
    "Data stream that a refused document was meant for.",
    "logs-ddcolor.otel-default",
)
DOCUMENT_ID = _attribute(
    "ddcolor.document.id",
    "string",
    "The _id that a refused document had.",
    "01JD3Z7K0V8Q6T1B9M4X2C5N7P",
)

# --- Events -------------------------------------------------------------------------------------
EVENT_SERVICE_STARTED = _event("comfyui.service.started", "The service accepts work.")
EVENT_SERVICE_STOPPED = _event("comfyui.service.stopped", "The service ended in good order.")
EVENT_SERVICE_CRASHED = _event("comfyui.service.crashed", "The process before this one crashed.")
EVENT_SERVICE_HEARTBEAT = _event(
    "comfyui.service.heartbeat",
    "The service is alive; said every 30 s with its queue, memory and GPU load.",
)
EVENT_REQUEST_FAILED = _event("comfyui.request.failed", "A request met a fault of the service.")
EVENT_UPLOAD_REJECTED = _event("comfyui.upload.rejected", "An upload was refused, with its kind.")
EVENT_PROMPT_QUEUED = _event("comfyui.prompt.queued", "A prompt was accepted.")
EVENT_PROMPT_REJECTED = _event("comfyui.prompt.rejected", "A prompt failed validation.")
EVENT_PROMPT_REMOVED = _event(
    "comfyui.prompt.removed", "A waiting prompt was taken out of the queue, unrun."
)
EVENT_PROMPT_STARTED = _event("comfyui.prompt.started", "A prompt began to execute.")
EVENT_PROMPT_FINISHED = _event("comfyui.prompt.finished", "A prompt ended; see its outcome.")
EVENT_NODE_STARTED = _event("comfyui.node.started", "A node began to execute.")
EVENT_NODE_RUNNING = _event("comfyui.node.running", "A node is still executing (heartbeat).")
EVENT_NODE_SLOW = _event("comfyui.node.slow", "A node has run longer than its time limit.")
EVENT_NODE_FINISHED = _event("comfyui.node.finished", "A node ended; see its outcome.")
EVENT_OUTPUT_DAMAGED = _event("comfyui.output.damaged", "A saved picture is damaged.")
EVENT_OUTPUT_IGNORED = _event(
    "comfyui.output.ignored", "A prompt runs without an output that failed validation."
)
EVENT_PROMPT_STALLED = _event(
    "comfyui.prompt.stalled", "A prompt makes no progress; every source agrees."
)
EVENT_SERVICE_UNREACHABLE = _event("comfyui.service.unreachable", "The service does not answer.")
EVENT_HOOK_INSTALLED = _event("comfyui.hook.installed", "A hook in ComfyUI is active.")
EVENT_HOOK_MISSING = _event("comfyui.hook.missing", "A hook in ComfyUI could not be placed.")
EVENT_HOOK_REMOVED = _event("comfyui.hook.removed", "A hook was taken out of ComfyUI.")
EVENT_MODEL_LOADED = _event("ddcolor.model.loaded", "A checkpoint was loaded.")
EVENT_MODEL_REFUSED = _event(
    "ddcolor.model.refused", "A changed checkpoint is unusable; the earlier weights work on."
)
EVENT_SIZE_ADVICE = _event("ddcolor.size.advice", "A size lies outside the advice.")
EVENT_TELEMETRY_DEGRADED = _event("comfyui.telemetry.degraded", "Telemetry is lost or limited.")
EVENT_PART_EXITED = _event("ddcolor.part.exited", "A part of the stack ended unasked.")
EVENT_PART_STOPPED = _event("ddcolor.part.stopped", "A part of the stack was stopped.")
EVENT_ALERT_ACCEPTED = _event("ddcolor.alert.accepted", "The notifier took an alert.")
EVENT_ALERT_HELD_BACK = _event("ddcolor.alert.held_back", "An alert joined an open one.")
EVENT_ALERT_DELIVERED = _event("ddcolor.alert.delivered", "A channel confirmed a message.")
EVENT_ALERT_RAISED = _event("ddcolor.alert.raised", "A rule matched; the notifier has its alert.")
EVENT_ALERT_REFUSED = _event("ddcolor.alert.refused", "The notifier called an alert unusable.")
EVENT_ALERT_ACKNOWLEDGED = _event("ddcolor.alert.acknowledged", "Somebody took an episode on.")
EVENT_ALERT_ESCALATED = _event(
    "ddcolor.alert.escalated", "Nobody acknowledged an episode; the next ones are told."
)
EVENT_ALERT_RESOLVED = _event("ddcolor.alert.resolved", "An episode is over.")
EVENT_NOTIFIER_HEARTBEAT = _event(
    "ddcolor.notifier.heartbeat", "The notifier is alive; said every 30 s with what is active."
)
EVENT_ALERTING_STARTED = _event("ddcolor.alerting.started", "The alert rules begin to run.")
EVENT_ALERTING_HEARTBEAT = _event("ddcolor.alerting.heartbeat", "All alert rules ran.")
EVENT_ALERTING_STOPPED = _event("ddcolor.alerting.stopped", "The alert rules were told to stop.")
EVENT_ALERT_FAILED = _event("ddcolor.alert.failed", "A delivery failed and is retried, or is dead.")
EVENT_DOCUMENT_REFUSED = _event(
    "ddcolor.document.refused", "Elasticsearch refused a document; it is kept with the reason."
)

# --- Metrics ------------------------------------------------------------------------------------
METRIC_NODE_DURATION = _metric(
    "comfyui.node.duration", "histogram", "s", "Execution time of nodes by class and outcome."
)
METRIC_PROMPT_DURATION = _metric(
    "comfyui.prompt.duration", "histogram", "s", "Execution time of prompts by outcome."
)
METRIC_QUEUE_WAIT = _metric("comfyui.queue.wait", "histogram", "s", "Time prompts wait.")
METRIC_QUEUE_DEPTH = _metric("comfyui.queue.depth", "gauge", "{prompt}", "Prompts waiting.")
METRIC_PROMPTS = _metric("comfyui.prompts", "counter", "{prompt}", "Prompts by outcome.")
METRIC_CACHE_HITS = _metric("comfyui.cache.hits", "counter", "{node}", "Nodes served from cache.")
METRIC_MODEL_LOADS = _metric("ddcolor.model.loads", "counter", "{load}", "Checkpoint loads.")
METRIC_PROCESS_MEMORY = _metric(
    "process.memory.usage", "gauge", "By", "Resident memory of the process."
)
METRIC_PROCESS_MEMORY_SLOPE = _metric(
    "process.memory.slope", "gauge", "By/s", "Trend of the resident memory over ten minutes."
)
METRIC_GPU_MEMORY_LIMIT = _metric("hw.gpu.memory.limit", "gauge", "By", "Memory of the GPU.")
METRIC_GPU_MEMORY_USAGE = _metric("hw.gpu.memory.usage", "gauge", "By", "Used memory of the GPU.")
METRIC_GPU_MEMORY_UTILIZATION = _metric(
    "hw.gpu.memory.utilization", "gauge", "1", "Used share of the GPU's memory."
)
METRIC_GPU_UTILIZATION = _metric(
    "hw.gpu.utilization", "gauge", "1", "Share of time in which the GPU was busy."
)
METRIC_TELEMETRY_DROPPED = _metric(
    "comfyui.telemetry.dropped", "counter", "{record}", "Telemetry that was lost."
)
