"""Put the parts together, and take them apart again."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.trace import Tracer

from . import _losses, semconv
from ._crash import CrashFile
from ._exporters import exporters, sdk_disabled
from ._kit import Kit
from ._logging import make_logger
from ._losses import Losses
from ._metrics import Instruments, meter_provider, reader_for
from ._queue import QueuedPrompts
from ._rotating import RotatingFile
from ._settings import Role, Settings, from_environment
from ._sinks import QueuedSink, Sink, StreamTarget, say_on_stderr, stdout_descriptor
from ._stdlib import Joined
from ._stream import LogStream
from ._tracing import SpanQueue, tracer_provider
from ._version import __version__
from ._vitals import Vitals
from ._watch import Periodic, Watch
from .recorder import Recorder

_SHUTDOWN_S = 5.0
_REPORT_S = 60.0


class Telemetry:
    """Logs, traces and metrics of one service in this process.

    Made by :func:`configure`; :mod:`comfyui_telemetry.testing` makes one that keeps all in memory.
    """

    def __init__(
        self,
        settings: Settings,
        losses: Losses,
        sinks: Sequence[Sink],
        spans: SpanProcessor | None,
        readers: Sequence[MetricReader],
    ) -> None:
        self.settings = settings
        self._losses = losses
        self._resource = _resource(settings)
        self._stream = LogStream(_told(self._resource), sinks, losses, settings.log_level)
        self._spans = spans
        self._watch = Watch(losses, settings.heartbeat_s)
        self._queue = QueuedPrompts()
        self.tracer_provider: TracerProvider = tracer_provider(self._resource, spans)
        self.meter_provider: MeterProvider = meter_provider(self._resource, readers)
        self.tracer: Tracer = self.tracer_provider.get_tracer("comfyui_telemetry", __version__)
        self._vitals = Vitals(losses, self._say) if settings.role == "service" else None
        self._instruments = Instruments(
            self.meter_provider, losses, self._queue.depth, self._vitals
        )
        self.recorder = Recorder(
            Kit(
                tracer=self.tracer,
                stream=self._stream,
                watch=self._watch,
                instruments=self._instruments,
                losses=losses,
                time_limit_s=settings.time_limit_s,
                heartbeat_s=settings.heartbeat_s,
                device_timing=settings.device_timing,
            ),
            self._queue,
        )
        self._loggers: dict[str, structlog.typing.FilteringBoundLogger] = {}
        self._joined: Joined | None = None
        self._crash_file: CrashFile | None = None
        self._closed = False
        # Re-entrant: a signal handler may shut down what is being shut down.
        self._close_lock = threading.RLock()
        self._watch.every_second(self._instruments.record_pending)
        self._watch.every_second(_Reporter(self._stream, losses))
        if self._vitals is not None:
            self._watch.every_second(self._vitals.sample)
        if settings.service_heartbeat_s and settings.role != "observer":
            self._watch.every_second(Periodic(settings.service_heartbeat_s, self._beat))
        _after_fork_of(self)

    def start(self, *, join: bool) -> None:
        """Start the background threads; with ``join`` also bring the rest of the process in."""
        self._watch.start()
        if self._vitals is not None:
            self._vitals.start()
        if join:
            self._joined = Joined(self._stream)
            if self.settings.log_file is not None:
                self._crash_file = CrashFile(self.settings.log_file.with_suffix(".fault"))
                self._crash_file.open(self._stream, self._losses)

    def logger(self, name: str) -> structlog.typing.FilteringBoundLogger:
        """Return the logger of ``name`` (as ``otel.scope.name``); the same one each time."""
        found = self._loggers.get(name)
        if found is None:
            found = self._loggers[name] = make_logger(self._stream, name)
        return found

    def add_log_filter(self, wanted: Callable[[logging.LogRecord], bool]) -> None:
        """Pass only those records of stdlib logging for which ``wanted`` is true."""
        if self._joined is not None:
            self._joined.add_filter(wanted)

    def remove_log_filter(self, wanted: Callable[[logging.LogRecord], bool]) -> None:
        """Undo :meth:`add_log_filter`."""
        if self._joined is not None:
            self._joined.remove_filter(wanted)

    @staticmethod
    def trace_id_of_current() -> str | None:
        """Return the current trace's id as 32 hex digits, None outside of any trace."""
        trace_id = trace.get_current_span().get_span_context().trace_id
        return format(trace_id, "032x") if trace_id else None

    def dropped(self) -> dict[str, int]:
        """Return how many records, spans and data points were lost so far, by reason."""
        return self._losses.totals()

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Export what is queued; False if that took longer than ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        self._watch.end_delayed()
        self._instruments.record_pending()
        done = self.tracer_provider.force_flush(int(timeout_s * 1000))
        left = max(1, int((deadline - time.monotonic()) * 1000))
        return self.meter_provider.force_flush(left) and done

    def shutdown(self, timeout_s: float = _SHUTDOWN_S) -> None:
        """Flush and end everything within about ``timeout_s`` seconds; later calls do nothing."""
        with self._close_lock:
            if self._closed:
                return
            self._closed = True
        deadline = time.monotonic() + timeout_s
        if self._vitals is not None:
            self._vitals.stop()
        if self._crash_file is not None:
            self._crash_file.close()
        self._watch.end_delayed()
        self._instruments.record_pending()
        self._shut_exporters(timeout_s * 0.75)
        self._watch.stop(0.1)
        if self._joined is not None:
            # Not earlier: the exporters log while they end.
            self._joined.leave()
        _Reporter(self._stream, self._losses)(force=True)
        self._stream.close(max(0.1, deadline - time.monotonic()))
        _forget(self)

    def _shut_exporters(self, timeout_s: float) -> None:
        """Let the exporters finish side by side; one that hangs in a connection is left behind."""
        deadline = time.monotonic() + timeout_s
        endings = [
            threading.Thread(target=self._end_spans, args=(timeout_s,), daemon=True),
            threading.Thread(
                target=self.meter_provider.shutdown, args=(timeout_s * 1000,), daemon=True
            ),
        ]
        for ending in endings:
            ending.start()
        for ending in endings:
            ending.join(max(0.0, deadline - time.monotonic()))

    def _end_spans(self, timeout_s: float) -> None:
        if isinstance(self._spans, SpanQueue):
            self._spans.close(timeout_s)
        self.tracer_provider.shutdown()

    def _beat(self) -> None:
        # While the exporters end, the service has said already that it stopped.
        if self._closed:
            return
        if self._vitals is not None:
            self.recorder.service_alive(self._vitals.attributes())
        else:
            self._say("Service alive", semconv.EVENT_SERVICE_HEARTBEAT)

    def _say(self, text: str, event_name: str | None = None) -> None:
        self._stream.emit("info", text, event_name=event_name)

    def after_fork(self) -> None:
        """Make the parent's queues, threads and locks into fresh ones of this child process."""
        self._losses.after_fork()
        self._close_lock = threading.RLock()
        self._resource = _of_this_process(self._resource)
        self._stream.after_fork(_told(self._resource))
        # Spans take their resource from their tracer, which only the SDK's own class has.
        if isinstance(self.tracer, SdkTracer):
            self.tracer.resource = self._resource
        if isinstance(self._spans, SpanQueue):
            self._spans.after_fork()
        self._queue.after_fork()
        if self._vitals is not None:
            self._vitals.after_fork()
        self._instruments.after_fork()
        self._watch.after_fork()


class _Reporter:
    """Say what was lost: at once on stderr the first time, then as a record once a minute."""

    def __init__(self, stream: LogStream, losses: Losses) -> None:
        self._stream = stream
        self._losses = losses
        self._next = 0.0

    def __call__(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if due := force or now >= self._next:
            self._next = now + _REPORT_S
        for loss in self._losses.take(new_only=not due):
            text = _losses.TEXTS[loss.reason] + (f" ({loss.detail})" if loss.detail else "")
            if loss.first:
                say_on_stderr(text)
            self._stream.emit(
                "warning",
                text,
                {
                    semconv.TELEMETRY_REASON: loss.reason,
                    semconv.TELEMETRY_DROPPED: loss.dropped,
                },
                event_name=semconv.EVENT_TELEMETRY_DEGRADED,
            )


def _resource(settings: Settings) -> Resource:
    told: dict[str, Any] = {semconv.SERVICE_NAME: settings.service_name}
    if settings.service_version is not None:
        told[semconv.SERVICE_VERSION] = settings.service_version
    return _of_this_process(Resource.create(told))


def _of_this_process(resource: Resource) -> Resource:
    """Return ``resource`` with a new instance id, unless the environment gives one.

    Safe in a child that was just forked; ``Resource.create`` is not, it asks a thread pool.
    """
    if semconv.SERVICE_INSTANCE_ID in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return resource
    return resource.merge(Resource({semconv.SERVICE_INSTANCE_ID: uuid.uuid4().hex}))


def _told(resource: Resource) -> dict[str, str]:
    """Return the part of the resource that log lines carry."""
    names = (semconv.SERVICE_NAME, semconv.SERVICE_VERSION, semconv.SERVICE_INSTANCE_ID)
    return {name: str(resource.attributes[name]) for name in names if name in resource.attributes}


_lock = threading.Lock()
_active: Telemetry | None = None
_alive: weakref.WeakSet[Telemetry] = weakref.WeakSet()


def _after_fork_of(telemetry: Telemetry) -> None:
    _alive.add(telemetry)


def _in_child() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held the parent's
    _lock = threading.Lock()
    for telemetry in list(_alive):
        telemetry.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _forget(telemetry: Telemetry) -> None:
    global _active  # noqa: PLW0603 - one configuration a process
    _alive.discard(telemetry)
    with _lock:
        if _active is telemetry:
            _active = None
    atexit.unregister(telemetry.shutdown)


def configure(
    service_name: str,
    service_version: str | None = None,
    log_file: Path | None = None,
    log_stdout: bool = True,
    traces: bool = True,
    metrics: bool = True,
    time_limit_s: float = 30.0,
    heartbeat_s: float = 10.0,
    *,
    service_heartbeat_s: float = 30.0,
    log_level: str = "info",
    log_max_bytes: int = 50_000_000,
    log_backups: int = 5,
    device_timing: bool = False,
    role: Role = "service",
) -> Telemetry:
    """Start telemetry for this process and return it.

    Times are in seconds, ``log_max_bytes`` in bytes: a full ``log_file`` is renamed and
    ``log_backups`` renamed ones are kept. A node that runs ``time_limit_s`` is reported as slow,
    every ``heartbeat_s`` it is reported as running. ``service_heartbeat_s`` is the interval of the
    service's own heartbeat, 0 for none; it tells the queue, the process's memory and the GPUs.
    With ``device_timing`` nodes also tell how long they kept the GPU, by CUDA events.

    ``role`` is ``service`` for a process that runs prompts, ``part`` for one that stands beside it
    and has no queue and no GPU, ``observer`` for one that speaks in the name of another process:
    that one has no heartbeat.

    The environment wins over parameters: ``OTEL_*`` as OpenTelemetry specifies them, and
    ``COMFYUI_TELEMETRY_<PARAMETER>`` for the parameters of logs and times.

    A second call returns the telemetry of the first; if it asks for something else, that is said in
    the log. To configure anew, call ``shutdown()`` first.

    Errors: ``ValueError`` for a parameter that makes no sense. What is missing at run time
    (exporter, collector, disk) is no error: it is counted and said once.
    """
    global _active  # noqa: PLW0603 - one configuration a process
    losses = Losses()
    settings = from_environment(
        {
            "service_name": service_name,
            "service_version": service_version,
            "log_file": Path(log_file) if log_file is not None else None,
            "log_stdout": log_stdout,
            "traces": traces,
            "metrics": metrics,
            "time_limit_s": time_limit_s,
            "heartbeat_s": heartbeat_s,
            "service_heartbeat_s": service_heartbeat_s,
            "log_level": log_level,
            "log_max_bytes": log_max_bytes,
            "log_backups": log_backups,
            "device_timing": device_timing,
            "role": role,
        },
        losses,
    )
    with _lock:
        if _active is not None:
            if _active.settings != settings:
                _active.logger(__name__).warning(
                    "Telemetry is configured already and stays as it is: call shutdown() first",
                    event_name=semconv.EVENT_TELEMETRY_DEGRADED,
                )
            return _active
        _active = Telemetry(settings, losses, _sinks(settings, losses), *_exports(settings, losses))
        _active.start(join=True)
        atexit.register(_active.shutdown)
        return _active


def _sinks(settings: Settings, losses: Losses) -> list[Sink]:
    sinks: list[Sink] = []
    if settings.log_file is not None:
        target = RotatingFile(settings.log_file, settings.log_max_bytes, settings.log_backups)
        sinks.append(QueuedSink(target, losses, settings.log_file.name))
    descriptor = stdout_descriptor() if settings.log_stdout else None
    if descriptor is not None:
        sinks.append(QueuedSink(StreamTarget(descriptor), losses, "stdout"))
    return sinks


def _exports(settings: Settings, losses: Losses) -> tuple[SpanProcessor | None, list[MetricReader]]:
    if sdk_disabled():
        return None, []
    span_exporters = exporters("traces", losses) if settings.traces else []
    spans = SpanQueue(span_exporters, losses) if span_exporters else None
    metric_exporters = exporters("metrics", losses) if settings.metrics else []
    return spans, [reader_for(exporter, losses) for exporter in metric_exporters]
