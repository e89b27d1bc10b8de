"""Spans on their way out: redaction, retry, bound, and what a dead exporter costs."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, StatusCode

from comfyui_telemetry._losses import SPAN_EXPORT_FAILED, SPAN_QUEUE_FULL, Losses
from comfyui_telemetry._tracing import SpanQueue, redacted
from comfyui_telemetry.testing import capture
from tests.support.telemetry import until

_LINK = Link(SpanContext(1, 2, is_remote=False))


class _Exporter(SpanExporter):
    """An agent that is away until :attr:`up` is set."""

    def __init__(self, *, up: bool = False, raises: bool = False) -> None:
        self.up = up
        self.raises = raises
        self.spans: list[ReadableSpan] = []
        self.tries = 0

    @property
    def names(self) -> list[str]:
        """Return the names of the spans that have come."""
        return [span.name for span in self.spans]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.tries += 1
        if self.up:
            self.spans.extend(spans)
            return SpanExportResult.SUCCESS
        if self.raises:
            raise ConnectionError("refused")
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        return


def _provider(queue: SpanQueue) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    return provider


def test_texts_of_spans_are_redacted_and_capped() -> None:
    """Attributes, events and the status of any span are clean; numbers and routes stay."""
    with capture() as captured:
        with captured.telemetry.tracer.start_as_current_span("s") as span:
            span.set_attribute("a", "from 10.0.0.1")
            span.set_attribute("list", ["/home/alice/x", "fine"])
            span.set_attribute("long", "y" * 100_000)
            span.set_attribute("n", 7)
            span.set_attribute("http.route", "/upload/image")
            span.set_attribute("bad", "\udcff")
            span.add_event("exception", {"exception.message": "/home/alice/x.png"})
            span.set_status(StatusCode.ERROR, "anna@example.org")
        (found,) = captured.spans
    attributes = dict(found.attributes or {})
    assert attributes["a"] == "from <ip>"
    assert attributes["list"] == ("<path>", "fine")
    assert len(str(attributes["long"])) < 1100
    assert attributes["n"] == 7
    assert attributes["http.route"] == "/upload/image"
    assert attributes["bad"] == "\\udcff"
    assert "alice" not in str(dict(found.events[0].attributes or {}))
    assert found.status.description == "<email>"
    assert found.context == span.get_span_context()


def test_a_redacted_span_tells_what_was_left_out_of_it() -> None:
    """The counts of a span and of its events are those of the original."""
    provider = TracerProvider(
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_attributes=1, max_events=2, max_links=1, max_event_attributes=1),
    )
    span = provider.get_tracer("t").start_span(
        "s", attributes={"a": 1, "b": "/home/alice/x"}, links=[_LINK, _LINK, _LINK]
    )
    for number in range(5):
        span.add_event("e", {"n": number, "where": "/home/alice/x"})
    span.end()
    assert isinstance(span, ReadableSpan)
    clean = redacted(span)
    assert clean is not span
    assert (clean.dropped_attributes, clean.dropped_events, clean.dropped_links) == (1, 3, 2)
    assert [event.dropped_attributes for event in clean.events] == [1, 1]
    assert "alice" not in clean.to_json()


def test_spans_outlive_a_restart_of_the_agent() -> None:
    """A failed batch is kept and sent again, in order and once."""
    exporter, losses = _Exporter(raises=True), Losses()
    queue = SpanQueue([exporter], losses, delay_s=0.01)
    tracer = _provider(queue).get_tracer("t")
    for number in range(20):
        tracer.start_span(str(number)).end()
    until(lambda: exporter.tries >= 2)
    exporter.up = True
    assert queue.force_flush()
    assert exporter.names == [str(number) for number in range(20)]
    assert losses.totals() == {SPAN_EXPORT_FAILED: 0}
    queue.close(5)


def test_spans_that_wait_for_an_agent_cost_a_garbage_collection_little() -> None:
    """What waits sheds the SDK's locks and lists, arrives the same, and tells what it left out."""
    exporter, losses = _Exporter(), Losses()
    queue = SpanQueue([exporter], losses, delay_s=0.01)
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_attributes=2))
    provider.add_span_processor(queue)
    tracer = provider.get_tracer("t")
    tracer.start_span("in flight").end()
    until(lambda: exporter.tries >= 1)
    with tracer.start_as_current_span("waits", attributes={"a": 1, "b": "x"}) as waits:
        waits.add_event("e", {"n": 2})
    tracer.start_span("cut", attributes={"a": 1, "b": 2, "c": 3}).end()
    until(lambda: type(queue._queue[0]._attributes) is dict)
    exporter.up = True
    assert queue.force_flush()
    _, lean, cut = exporter.spans
    assert (lean.context, lean.attributes) == (waits.get_span_context(), {"a": 1, "b": "x"})
    assert [(event.name, dict(event.attributes or {})) for event in lean.events] == [
        ("e", {"n": 2})
    ]
    assert cut.dropped_attributes == 1
    queue.close(5)


def test_a_dead_agent_costs_bounded_memory_and_counted_spans() -> None:
    """The queue keeps its bound, the others are counted, close() ends in time."""
    exporter, losses = _Exporter(), Losses()
    queue = SpanQueue([exporter], losses, queue_spans=100, delay_s=0.01)
    tracer = _provider(queue).get_tracer("t")
    for _ in range(1000):
        tracer.start_span("s").end()
    assert losses.totals()[SPAN_QUEUE_FULL] == 900
    queue.close(2)
    assert losses.totals() == {SPAN_QUEUE_FULL: 900, SPAN_EXPORT_FAILED: 100}
    tracer.start_span("late").end()
    assert losses.totals()[SPAN_QUEUE_FULL] == 901


def test_an_exporter_that_hangs_does_not_hold_up_the_end() -> None:
    """close() returns within its time, counts what is left and leaves the thread behind."""
    release = threading.Event()

    class Hanging(_Exporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            release.wait(30)
            return super().export(spans)

    losses = Losses()
    queue = SpanQueue([Hanging()], losses, delay_s=0.01)
    _provider(queue).get_tracer("t").start_span("s").end()
    assert not queue.force_flush(50)
    queue.close(0.1)
    assert losses.totals() == {SPAN_EXPORT_FAILED: 1}
    release.set()


def test_unsampled_spans_are_not_queued() -> None:
    """OTEL_TRACES_SAMPLER decides, and what is not sampled is no loss."""
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    exporter, losses = _Exporter(up=True), Losses()
    queue = SpanQueue([exporter], losses)
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(queue)
    provider.get_tracer("t").start_span("s").end()
    assert queue.force_flush()
    assert exporter.names == []
    assert losses.totals() == {}
