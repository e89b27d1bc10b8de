"""The faults of the demo: how each is caused for real, and which alerts it must raise.

The order matters. The rule for three failures in a row counts failed prompts of one service with
no success between them, unless the user's photo was the reason; so a good photo is restored after
each fault, and the three failures come from one fault alone. Each fault has a kind of its own,
because the same error speaks only once in five minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from comfyui_telemetry.catalogue import CATALOGUE, Text
from ddcolor_operations.report.facts import Expected
from ddcolor_operations.stack import RunningStack

from .client import DemoError, ServiceClient
from .photos import Sample, send

# The service speaks after 30 s while the node still runs; these seconds are added by the fault.
_SLOW_S = 34.0
_SLOW_LIMIT_S = 30.0
_CHANNELS: dict[int, tuple[str, ...]] = {
    1: ("record",),
    2: ("wecom", "dingtalk"),
    3: ("wecom", "dingtalk", "sms", "mail"),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault is caused with; ``scratch`` is a folder for files that it needs."""

    client: ServiceClient
    stack: RunningStack
    sample: Sample
    scratch: Path


@dataclass(frozen=True, slots=True)
class Caused:
    """When a fault was caused and when it was over, and its prompt's trace if there is one."""

    caused_at: datetime
    over_at: datetime
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of the plan. ``from_cause``: seconds to the message count from the cause."""

    name: str
    kind: str
    how: Text
    expected: tuple[Expected, ...]
    cause: Callable[[Stage], Caused]
    from_cause: bool = False

    @property
    def title(self) -> Text:
        """The fault's name in the catalogue."""
        return CATALOGUE[self.kind].title


def expect(kind: str, level: int) -> Expected:
    """Return the alert of ``kind`` and ``level`` with the channels that the level goes to."""
    return Expected(kind, level, _CHANNELS[level])


def _undecodable_upload(stage: Stage) -> Caused:
    file = stage.scratch / "not-a-photo.jpg"
    file.write_bytes(b"This is a text that somebody called a photo.\n" * 20)
    caused_at = _now()
    answer = stage.client.upload(file, file.name)
    if answer.ok:
        raise DemoError("The service took an upload that is no picture; it should refuse it.")
    return Caused(caused_at, _now(), answer.headers.get("X-Trace-Id"))


def _armed(kind: str, count: int = 1) -> Callable[[Stage], Caused]:
    """Return a cause that arms ``kind`` and sends ``count`` photos, each of which must fail."""

    def cause(stage: Stage) -> Caused:
        stage.client.arm(kind, count=count)
        caused_at = _now()
        attempts = [send(stage.client, stage.sample) for _ in range(count)]
        if any(attempt.error is None for attempt in attempts):
            raise DemoError(f"The fault {kind} was armed, but a prompt succeeded all the same.")
        return Caused(caused_at, _now(), attempts[-1].trace_id)

    return cause


def _slow_inference(stage: Stage) -> Caused:
    stage.client.arm("slow_inference", seconds=_SLOW_S)
    caused_at = _now()
    attempt = send(stage.client, stage.sample)
    if attempt.error is not None:
        raise DemoError(f"The slow photo failed instead of being late: {attempt.error}")
    if attempt.seconds <= _SLOW_LIMIT_S:
        raise DemoError(f"The slow photo took {attempt.seconds:.1f} s only.")
    return Caused(caused_at, _now(), attempt.trace_id)


def _killed_process(stage: Stage) -> Caused:
    caused_at = _now()
    pid = stage.stack.kill("service")
    stage.stack.wait_ready("service", not_pid=pid)
    return Caused(caused_at, caused_at)


PLAN: tuple[PlannedFault, ...] = (
    PlannedFault(
        "undecodable_upload",
        "decode_failed",
        Text("上传一个改名为 .jpg 的文本文件", "a text file called .jpg was uploaded"),
        (expect("decode_failed", 2),),
        _undecodable_upload,
    ),
    PlannedFault(
        "missing_checkpoint",
        "model_not_loaded",
        Text("加载时模型文件不存在", "the checkpoint's file was gone when it was loaded"),
        (expect("model_not_loaded", 3),),
        _armed("missing_checkpoint"),
    ),
    PlannedFault(
        "out_of_memory",
        "out_of_memory",
        Text("申请超过机器所有的内存", "more memory was asked for than the machine has"),
        (expect("out_of_memory", 2),),
        _armed("out_of_memory"),
    ),
    PlannedFault(
        "slow_inference",
        "inference_timeout",
        Text("一次推理超过 30 秒，运行中即告警", "one inference ran over 30 s; said while it ran"),
        (expect("inference_timeout", 1),),
        _slow_inference,
    ),
    PlannedFault(
        "three_failures",
        "execution_error",
        Text("连续三个任务失败，中间没有成功", "three prompts failed with no success between"),
        # With these, more than a fifth of the prompts have failed, among enough of them.
        (expect("execution_error", 2), expect("execution_error", 3), expect("error_rate_high", 2)),
        _armed("execution_error", count=3),
    ),
    PlannedFault(
        "killed_process",
        "service_down",
        Text("服务进程被 SIGKILL 杀死", "the service's process was killed with SIGKILL"),
        (expect("service_down", 3),),
        _killed_process,
        from_cause=True,
    ),
)


def _now() -> datetime:
    return datetime.now(UTC)
