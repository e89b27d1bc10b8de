"""Log targets: rotation and mode of the file, and what a full, dead or blocked target does."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from opentelemetry import trace

from comfyui_telemetry import semconv
from comfyui_telemetry._losses import LOG_QUEUE_FULL, LOG_WRITE_FAILED, Losses
from comfyui_telemetry._render import Prepared, Renderer
from comfyui_telemetry._rotating import RotatingFile
from comfyui_telemetry._sinks import QueuedSink, StreamTarget
from tests.support.telemetry import until


def _write(file: RotatingFile, text: str) -> None:
    view = memoryview(text.encode())
    while view:
        view = view[file.write(view) :]


class _Failing:
    """A target on a disk that is full until :attr:`room` is set; it takes 7 bytes at a time."""

    def __init__(self) -> None:
        self.room = False
        self.data = b""
        self.tries = 0

    def write(self, data: memoryview) -> int:
        self.tries += 1
        if not self.room and len(self.data) >= 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.data += bytes(data[:7])
        return min(7, len(data))

    def close(self) -> None:
        return


def test_the_file_is_readable_by_its_group_only(tmp_path: Path) -> None:
    """The mode is 0640 whatever the umask, and the folder is made."""
    path = tmp_path / "new" / "folder" / "a.jsonl"
    old = os.umask(0o077)
    try:
        _write(RotatingFile(path, 1000, 1), "x\n")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_file_is_renamed_and_old_ones_are_removed(tmp_path: Path) -> None:
    """No line is cut, no file grows beyond its size, and the newest backups stay."""
    path = tmp_path / "a.jsonl"
    file = RotatingFile(path, max_bytes=100, backups=3)
    for number in range(50):
        _write(file, f"{number:029d}\n")
    files = sorted(tmp_path.glob("a.jsonl*"))
    assert len(files) == 4
    assert all(found.stat().st_size <= 100 for found in files)
    lines = [line for found in [*files[1:], files[0]] for line in found.read_text().splitlines()]
    assert [int(line) for line in lines] == list(range(50 - len(lines), 50))


def test_a_line_larger_than_the_file_is_written_whole(tmp_path: Path) -> None:
    """The size is a bound for rotation, not a reason to lose a line."""
    path = tmp_path / "a.jsonl"
    file = RotatingFile(path, max_bytes=10, backups=5)
    _write(file, "a" * 50 + "\n")
    _write(file, "b" * 50 + "\n")
    assert path.read_text() == "b" * 50 + "\n"


def test_two_writers_share_a_file(tmp_path: Path) -> None:
    """Whoever rotates, the other follows, and no line is lost."""
    path = tmp_path / "a.jsonl"
    writers = [RotatingFile(path, max_bytes=200, backups=100) for _ in range(2)]
    for number in range(200):
        _write(writers[number % 2], f"{number:09d}\n")
    lines = "".join(found.read_text() for found in tmp_path.glob("a.jsonl*")).split()
    assert sorted(map(int, lines)) == list(range(200))


def test_a_removed_file_is_opened_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After logrotate or a person took the file away, lines go to a new one of the same name."""
    monkeypatch.setattr("comfyui_telemetry._rotating._CHECK_S", 0.0)
    path = tmp_path / "a.jsonl"
    file = RotatingFile(path, 1000, 1)
    _write(file, "one\n")
    path.unlink()
    _write(file, "two\n")
    assert path.read_text() == "two\n"


def test_half_a_line_of_a_dead_process_stays_apart(tmp_path: Path) -> None:
    """A line that a killed process did not finish does not swallow the next one."""
    path = tmp_path / "a.jsonl"
    path.write_text('{"half": ')
    _write(RotatingFile(path, 1000, 1), '{"whole": 1}\n')
    assert path.read_text() == '{"half": \n{"whole": 1}\n'


def test_something_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    """A pipe in the file's place is refused by name instead of blocking."""
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)
    with pytest.raises(OSError, match=r"a\.jsonl"):
        RotatingFile(path, 1000, 1).write(memoryview(b"x\n"))


def test_lines_wait_for_a_full_disk_and_are_then_written_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A write that failed in the middle goes on where it stopped; nothing is doubled or lost."""
    monkeypatch.setattr("comfyui_telemetry._sinks._RETRY_S", 0.01)
    target, losses = _Failing(), Losses()
    sink = QueuedSink(target, losses, "a.jsonl")
    for number in range(10):
        sink.put(f"line {number}\n".encode())
    until(lambda: target.tries > 5)
    assert losses.totals() == {LOG_WRITE_FAILED: 0}
    (news,) = losses.take()
    assert "No space left" in news.detail
    target.room = True
    sink.close(5)
    assert target.data == b"".join(f"line {number}\n".encode() for number in range(10))
    assert losses.totals() == {LOG_WRITE_FAILED: 0}


def test_records_that_wait_for_a_disk_wait_as_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects would lengthen each garbage collection; the bound then counts the lines' own size."""
    monkeypatch.setattr("comfyui_telemetry._sinks._RETRY_S", 0.01)
    target, losses = _Failing(), Losses()
    sink = QueuedSink(target, losses, "a.jsonl")
    sink.put(b"in flight\n")
    until(lambda: target.tries > 1)
    renderer = Renderer({semconv.SERVICE_NAME: "svc"})
    records = [
        Prepared(
            renderer, losses, (0, "info", str(n), "e", trace.INVALID_SPAN_CONTEXT, str(n)), {}, {}
        )
        for n in range(20)
    ]
    for record in records:
        sink.put(record)
    until(lambda: all(isinstance(line, bytes) for line in list(sink._lines)))
    lines = [record.line() for record in records]
    assert sink._bytes == len(b"in flight\n") + sum(map(len, lines))
    target.room = True
    sink.close(5)
    assert target.data == b"in flight\n" + b"".join(lines)
    assert sink._bytes == 0


def test_a_queue_that_is_full_counts_what_it_drops() -> None:
    """With the disk gone memory is bounded, put() returns, and each lost line is counted."""
    target, losses = _Failing(), Losses()
    sink = QueuedSink(target, losses, "a.jsonl", queue_bytes=1000)
    for _ in range(1000):
        sink.put(b"x" * 99 + b"\n")
    sink.close(5)
    totals = losses.totals()
    assert totals[LOG_QUEUE_FULL] >= 980
    assert totals[LOG_QUEUE_FULL] + totals[LOG_WRITE_FAILED] == 1000


def test_a_pipe_that_nobody_reads_blocks_nobody() -> None:
    """put() and close() return while the writer is stuck in the pipe."""
    reader, writer = os.pipe()
    losses = Losses()
    sink = QueuedSink(StreamTarget(writer), losses, "stdout", queue_bytes=500_000)
    for _ in range(10_000):
        sink.put(b"x" * 99 + b"\n")
    assert losses.totals()[LOG_QUEUE_FULL] > 1000
    sink.close(0.05)
    os.close(writer)
    # Let the stuck thread end.
    os.set_blocking(reader, False)
    with contextlib.suppress(OSError):
        until(lambda: os.read(reader, 65536) == b"")
    os.close(reader)


def test_closing_writes_what_is_queued(tmp_path: Path) -> None:
    """Lines put just before the end are in the file after close(); later ones are counted."""
    path, losses = tmp_path / "a.jsonl", Losses()
    sink = QueuedSink(RotatingFile(path, 10**6, 1), losses, "a.jsonl")
    for number in range(1000):
        sink.put(f"{number}\n".encode())
    sink.close(10)
    sink.put(b"late\n")
    assert path.read_text().split() == [str(number) for number in range(1000)]
    assert losses.totals() == {LOG_QUEUE_FULL: 1}


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    """Eight threads at once: every line is in the file, whole."""
    path, losses = tmp_path / "a.jsonl", Losses()
    sink = QueuedSink(RotatingFile(path, 10**7, 1), losses, "a.jsonl")

    def work(name: int) -> None:
        for number in range(1000):
            sink.put(f"{name}-{number}\n".encode())

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink.close(10)
    assert len(set(path.read_text().split())) == 8000
    assert losses.totals() == {}
