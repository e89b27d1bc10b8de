"""What one thread says about nodes that still run, and about the service itself."""

from __future__ import annotations

import threading
import time

import pytest

from comfyui_telemetry import semconv
from comfyui_telemetry.testing import capture, check_declared
from tests.support.telemetry import span_id, until


def test_a_running_node_beats_and_is_called_slow_once_while_it_runs() -> None:
    """Start record at once, heartbeats, and one slow record before the node ends."""
    with capture(heartbeat_s=0.02, time_limit_s=0.05) as captured:
        with (
            captured.telemetry.recorder.prompt("p", node_count=1) as prompt,
            prompt.node("2", "DDColor_Colorize"),
        ):
            assert captured.record(semconv.EVENT_NODE_STARTED)[semconv.NODE_ID] == "2"
            until(lambda: len(captured.events(semconv.EVENT_NODE_RUNNING)) >= 5)
            slow = captured.record(semconv.EVENT_NODE_SLOW)
        assert captured.record(semconv.EVENT_NODE_SLOW) == slow
        assert slow["message"] == (
            "Inference timeout: node DDColor_Colorize (2) still running after 0.05 s"
        )
        assert slow[semconv.ERROR_KIND] == "inference_timeout"
        assert slow[semconv.ERROR_LEVEL] == 1
        assert slow[semconv.NODE_DURATION] >= 0.05
        node = span_id(captured.span("node DDColor_Colorize"))
        beats = captured.events(semconv.EVENT_NODE_RUNNING)
        for record in (slow, *beats):
            assert record["span_id"] == format(node, "016x")
            assert record[semconv.PROMPT_ID] == "p"
        ran = [beat[semconv.NODE_DURATION] for beat in beats]
        assert ran == sorted(ran)
        assert check_declared(captured.records) == []


def test_after_its_end_a_node_is_silent() -> None:
    """No heartbeat of a node that ended, and the watch holds it no longer."""
    with capture(heartbeat_s=0.01) as captured:
        with captured.telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "B"):
            until(lambda: bool(captured.events(semconv.EVENT_NODE_RUNNING)))
        assert captured.telemetry._watch._running == {}


def test_a_slow_node_that_the_thread_missed_is_said_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that held the interpreter the whole time is called slow when it ends."""
    with capture(time_limit_s=0.01) as captured:
        monkeypatch.setattr(captured.telemetry._watch, "_look_after_nodes", lambda: None)
        with captured.telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("2", "B"):
            end = time.monotonic() + 0.02
            while time.monotonic() < end:
                pass
        slow = captured.record(semconv.EVENT_NODE_SLOW)
        assert slow["message"].startswith("Inference timeout: node B (2) ran for 0.0")


def test_nodes_on_many_threads_are_watched_by_one() -> None:
    """Fifty nodes at once need one watch thread, and each is called slow once."""
    before = threading.active_count()
    leave = threading.Event()
    with capture(heartbeat_s=60, time_limit_s=0.02) as captured:

        def work(number: int) -> None:
            recorder = captured.telemetry.recorder
            with recorder.prompt(str(number), node_count=1) as prompt, prompt.node("2", "B"):
                leave.wait(20)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        until(lambda: len(captured.events(semconv.EVENT_NODE_SLOW)) == 50)
        assert threading.active_count() - before - 50 <= 2
        leave.set()
        for thread in threads:
            thread.join()
        slow = captured.events(semconv.EVENT_NODE_SLOW)
        assert len({record[semconv.PROMPT_ID] for record in slow}) == len(slow) == 50


def test_the_service_says_that_it_lives() -> None:
    """A heartbeat at once and at each interval, with queue and memory, declared types."""
    with capture(service_heartbeat_s=0.01, role="service") as captured:
        until(lambda: len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT)) > 1)
        beats = captured.events(semconv.EVENT_SERVICE_HEARTBEAT)
        assert beats[0]["message"] == "Service alive"
        assert beats[0][semconv.QUEUE_DEPTH] == 0
        assert beats[0][semconv.QUEUE_OLDEST_WAIT] == 0.0
        assert beats[0][semconv.PROCESS_MEMORY_USAGE] > 1_000_000
        assert semconv.PROCESS_MEMORY_SLOPE not in beats[0]
        assert check_declared(beats) == []


def test_the_heartbeat_tells_the_longest_wait() -> None:
    """Of the prompts that wait now, also when others were removed or run already."""
    with capture() as captured:
        recorder = captured.telemetry.recorder
        for number in range(3):
            recorder.prompt_queued(str(number), number_waiting=number + 1)
        queue = captured.telemetry._queue
        _, first = queue._waiting["0"]
        _, second = queue._waiting["1"]
        assert queue.oldest() == first
        with recorder.prompt("0", node_count=1):
            recorder.prompt_removed("2")
            assert queue.oldest() == second
        recorder.prompt_removed("1")
        recorder.prompt_removed("1")
        recorder.prompt_removed("nobody")
        assert len(captured.events(semconv.EVENT_PROMPT_REMOVED)) == 2
        recorder.service_alive()
        (beat,) = captured.events(semconv.EVENT_SERVICE_HEARTBEAT)
        assert (beat[semconv.QUEUE_DEPTH], beat[semconv.QUEUE_OLDEST_WAIT]) == (0, 0.0)


def test_a_part_beside_the_service_tells_no_queue() -> None:
    """It beats too; an observer, which speaks in another's name, does not."""
    with capture(service_heartbeat_s=0.01) as captured:
        until(lambda: bool(captured.events(semconv.EVENT_SERVICE_HEARTBEAT)))
        assert semconv.QUEUE_DEPTH not in captured.events(semconv.EVENT_SERVICE_HEARTBEAT)[0]
    with capture(service_heartbeat_s=0.001, role="observer", heartbeat_s=0.01) as captured:
        with captured.telemetry.recorder.prompt("p", node_count=1) as prompt, prompt.node("1", "A"):
            until(lambda: bool(captured.events(semconv.EVENT_NODE_RUNNING)))
        assert captured.events(semconv.EVENT_SERVICE_HEARTBEAT) == []


def test_the_heart_stands_still_once_the_service_has_stopped() -> None:
    """While exporters end no beat comes after the word that the service stopped."""
    with capture(service_heartbeat_s=0.001, role="service") as captured:
        until(lambda: bool(captured.events(semconv.EVENT_SERVICE_HEARTBEAT)))
        captured.telemetry.shutdown()
        beats = len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT))
        captured.telemetry._beat()
        assert len(captured.events(semconv.EVENT_SERVICE_HEARTBEAT)) == beats


def test_a_loss_is_said_as_a_record_and_once_on_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The record tells reason and number; stderr gets one line however often it happens."""
    with capture() as captured:
        losses = captured.telemetry._losses
        losses.add("span_queue_full", 3)
        until(lambda: bool(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)))
        losses.add("span_queue_full", 2)
    first, second = captured.events(semconv.EVENT_TELEMETRY_DEGRADED)
    assert first[semconv.TELEMETRY_REASON] == "span_queue_full"
    assert (first[semconv.TELEMETRY_DROPPED], second[semconv.TELEMETRY_DROPPED]) == (3, 2)
    assert capfd.readouterr().err.count("export queue is full") == 1
    assert check_declared(captured.records) == []


def test_another_reason_is_said_at_once() -> None:
    """News of one kind do not hold back the first word on another."""
    with capture() as captured:
        losses = captured.telemetry._losses
        losses.add("span_queue_full")
        until(lambda: len(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)) == 1)
        losses.add("log_write_failed", 0)
        until(lambda: len(captured.events(semconv.EVENT_TELEMETRY_DEGRADED)) == 2)
