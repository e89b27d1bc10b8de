"""After the run: read the facts back from where the stack has them, and let the judge speak."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from comfyui_telemetry import __version__
from comfyui_telemetry.catalogue import Text
from ddcolor_operations.elastic import queries
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.report import collect
from ddcolor_operations.report.facts import Fault, Message, Run
from ddcolor_operations.report.render import Evidence, Trace
from ddcolor_operations.report.spans import Row, waterfall
from ddcolor_operations.stack import RunningStack

from .client import DemoError, ServiceClient
from .evidence import Seen
from .found import Found
from .from_logs import read_logs
from .judge import EMBEDDED, WHOLE, judge
from .left_out import left_out
from .run import Performed

_POLL_S = 0.5
_TRACE_TIMEOUT_S = 30.0
_FAILED = "out_of_memory"
_SLOW = "slow_inference"
_SHOWN_MESSAGE = "three_failures"
_SHOWN_CHANNELS = ("wecom", "dingtalk")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The facts of the run, and what there is for the charts.

    ``failed`` is the trace of one failed prompt, None if no prompt of the plan failed or the stack
    has no traces.
    """

    run: Run
    evidence: Evidence
    failed: Trace | None


def gather(stack: RunningStack, performed: Performed, started_at: datetime) -> Gathered:
    """Read everything back and judge it. Raises DemoError if a part does not answer."""
    status = stack.status()
    config = stack.config
    versions = {part.name: part.version for part in status.parts}
    client = ServiceClient(config.url("service"), config.admin_token)
    if config.embedded:
        found = read_logs(config.log_dir, performed.since, datetime.now(UTC))
    else:
        try:
            found = _ask_elasticsearch(config.url("elasticsearch"), performed, started_at)
        except (ApiError, TransportError) as error:
            raise DemoError(
                f"The results cannot be read: {error}; see the log of part elasticsearch."
            ) from error
    faults, problems = judge(
        performed.incidents, performed.seen, found.records, EMBEDDED if config.embedded else WHOLE
    )
    run = Run(
        started_at=started_at,
        ended_at=datetime.now(UTC),
        stack_ready_s=status.ready_after_s or 0.0,
        photos=performed.photos,
        faults=tuple(faults),
        messages=_messages(faults, performed.seen),
        documents=found.documents,
        versions={
            "ddcolor-observability": __version__,
            **versions,
            **client.versions(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        problems=tuple(problems),
        left_out=left_out() if config.embedded else (),
    )
    evidence = Evidence(
        traces=list(found.traces.values()), durations=found.durations, outcomes=found.outcomes
    )
    return Gathered(run, evidence, found.traces.get(_FAILED))


def _ask_elasticsearch(url: str, performed: Performed, started_at: datetime) -> Found:
    with connect(url) as elastic:
        return Found(
            # First: it waits for what comes last.
            traces=_traces(elastic, performed),
            records=collect.fault_records(elastic, performed.since),
            durations=collect.node_durations(elastic, performed.since),
            outcomes=collect.prompt_outcomes(elastic, performed.since, datetime.now(UTC)),
            documents=queries.count_by_stream(elastic, started_at),
        )


def _traces(elastic: Elasticsearch, performed: Performed) -> dict[str, Trace]:
    """Return the traces to show, by the fault's name; the good photo's is called ``photo``."""
    by_fault = {item.name: item.trace_id for item in performed.incidents}
    wanted = {
        _FAILED: (Text("失败的任务", "A failed prompt"), by_fault.get(_FAILED)),
        "photo": (
            Text("成功的任务", "A good prompt"),
            performed.photos[0].trace_id if performed.photos else None,
        ),
        _SLOW: (Text("超时的任务", "A slow prompt"), by_fault.get(_SLOW)),
    }
    return {
        name: Trace(title, trace_id, _complete_trace(elastic, trace_id))
        for name, (title, trace_id) in wanted.items()
        if trace_id is not None
    }


def _complete_trace(elastic: Elasticsearch, trace_id: str) -> list[Row]:
    """Return the trace once its prompt's span is there, which ends and is exported last."""
    deadline = time.monotonic() + _TRACE_TIMEOUT_S
    while True:
        spans = queries.trace(elastic, trace_id)
        if any(span.name == "prompt" for span in spans) or time.monotonic() > deadline:
            return waterfall(spans)
        time.sleep(_POLL_S)


def _messages(faults: Sequence[Fault], seen: Seen) -> tuple[Message, ...]:
    """Return one message per chat: that of the loudest alert of the shown fault."""
    alerts = [a for fault in faults if fault.name == _SHOWN_MESSAGE for a in fault.alerts]
    loudest = max(alerts, key=lambda alert: alert.level, default=None)
    if loudest is None:
        return ()
    about = [alert for alert in seen.alerts if alert.alert_id == loudest.alert_id]
    return tuple(
        Message(channel, arrival.text)
        for channel in _SHOWN_CHANNELS
        for alert in about
        for arrival in seen.of(alert, channel)[:1]
    )
