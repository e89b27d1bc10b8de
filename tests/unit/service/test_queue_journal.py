"""The queue across a restart: what waits is kept, what crashes is not tried for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from ddcolor_service.errors import RequestRefusedError
from ddcolor_service.prompt_queue import Job, PromptQueue, Result
from tests.support.service import encoded, error_of, running_service, workflow

RESULT = Result({}, {}, "success", completed=True, messages=[])


def queue_at(journal: Path) -> PromptQueue:
    return PromptQueue(max_waiting=10, max_history=3, journal=journal)


def job(name: str, number: float = 0) -> Job:
    return Job(number, name, {}, {"client_id": "me"}, ["3"], {"traceparent": "t"})


def test_waiting_and_running_prompts_come_back(tmp_path: Path) -> None:
    """A new process finds the running prompt first, then the waiting ones in their order."""
    queue = queue_at(tmp_path / "queue.jsonl")
    for name, number in (("a", 0), ("b", 2), ("c", 1)):
        queue.put(job(name, number))
    assert queue.get() is not None
    again = queue_at(tmp_path / "queue.jsonl")
    kept, lost = again.restore()
    assert ([j.prompt_id for j in kept], lost) == (["a", "c", "b"], [])
    taken = [again.get() for _ in range(3)]
    assert [j.prompt_id for j in taken if j] == ["a", "c", "b"]
    assert taken[0] is not None
    assert (taken[0].attempts, taken[0].client_id) == (2, "me")
    assert taken[0].carrier == {"traceparent": "t"}
    assert again.number_for(front=False, number=None) == 3


def test_a_prompt_that_kills_the_process_is_given_up(tmp_path: Path) -> None:
    """A prompt that ran at two crashes is not tried a third time."""
    queue = queue_at(tmp_path / "queue.jsonl")
    queue.put(job("killer"))
    for _ in range(2):
        assert queue.get() is not None
        queue = queue_at(tmp_path / "queue.jsonl")
        kept, lost = queue.restore()
    assert ([j.prompt_id for j in kept], [j.prompt_id for j in lost]) == ([], ["killer"])
    assert queue_at(tmp_path / "queue.jsonl").restore() == ([], [])


def test_finished_prompts_leave_the_journal(tmp_path: Path) -> None:
    """What is done is not done again; the journal is readable by its owner only."""
    journal = tmp_path / "queue.jsonl"
    queue = queue_at(journal)
    queue.put(job("a"))
    running = queue.get()
    assert running is not None
    queue.done(running, RESULT)
    assert queue_at(journal).restore() == ([], [])
    assert journal.read_bytes() == b""
    assert journal.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1]", b'{"put": {"number": "x"}}', b'{"took": "z"}', b'{"x": 1}', b"{}", b"null"],
)
def test_an_unreadable_journal_is_kept_aside(tmp_path: Path, line: bytes) -> None:
    """A line that makes no sense stops nothing, costs no other prompt and is kept for a look."""
    journal = tmp_path / "queue.jsonl"
    queue_at(journal).put(job("a"))
    journal.write_bytes(line + b"\n" + journal.read_bytes())
    queue = queue_at(journal)
    kept, lost = queue.restore()
    assert ([j.prompt_id for j in kept], lost) == (["a"], [])
    assert (tmp_path / "queue.unreadable").read_bytes().startswith(line + b"\n")
    queue.put(job("b"))
    kept, _ = queue_at(journal).restore()
    assert [j.prompt_id for j in kept] == ["a", "b"]


def test_a_half_written_line_is_no_damage(tmp_path: Path) -> None:
    """A process that was killed while it wrote costs the last change alone."""
    journal = tmp_path / "queue.jsonl"
    queue = queue_at(journal)
    queue.put(job("a"))
    queue.put(job("b"))
    journal.write_bytes(journal.read_bytes()[:-5])
    queue = queue_at(journal)
    kept, _ = queue.restore()
    assert [j.prompt_id for j in kept] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["queue.jsonl"]
    queue.put(job("c"))
    assert [j.prompt_id for j in queue_at(journal).restore()[0]] == ["a", "c"]


def test_a_full_disk_stops_nothing(tmp_path: Path) -> None:
    """A journal that cannot be written stops no prompt, and is whole once it can be again."""
    folder = tmp_path / "absent"
    queue = queue_at(folder / "queue.jsonl")
    for name in "ab":
        queue.put(job(name))
    assert queue.get() is not None
    folder.mkdir()
    queue.put(job("c"))
    kept, _ = queue_at(folder / "queue.jsonl").restore()
    assert [(j.prompt_id, j.attempts) for j in kept] == [("a", 1), ("b", 0), ("c", 0)]


def test_a_prompt_is_on_the_disk_before_it_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal with the prompt in it, and at first its folder, are synced before put returns."""
    synced: list[tuple[str, bool]] = []

    def note(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").resolve()
        synced.append((path.name, path.is_file() and b'"second"' in path.read_bytes()))

    queue = queue_at(tmp_path / "queue.jsonl")
    monkeypatch.setattr("os.fsync", note)
    queue.put(job("first"))
    assert synced == [("queue.jsonl", False), (tmp_path.name, False)]
    synced.clear()
    queue.put(job("second"))
    assert synced == [("queue.jsonl", True)]
    synced.clear()
    queue.delete(["second"])
    assert synced == []


def test_a_reserved_prompt_is_run_by_nobody(tmp_path: Path) -> None:
    """Until it is admitted, which its answer goes before, a prompt has a place and no worker."""
    queue = queue_at(tmp_path / "queue.jsonl")
    queue.reserve(job("a"))
    assert queue.get(timeout_s=0) is None
    with pytest.raises(RequestRefusedError):
        queue.put(job("a"))
    assert [j.prompt_id for j in queue_at(tmp_path / "queue.jsonl").restore()[0]] == ["a"]
    queue.admit(job("a"))
    taken = queue.get(timeout_s=0)
    assert taken is not None
    assert taken.prompt_id == "a"


def test_a_file_written_anew_is_on_the_disk_before_it_replaces_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither power loss nor a crash finds the journal replaced by one that is not whole yet."""
    monkeypatch.setattr("ddcolor_service.journal._GROWN", 10)
    synced: list[str] = []
    queue = queue_at(tmp_path / "queue.jsonl")
    queue.put(job("first"))
    monkeypatch.setattr(
        "os.fsync", lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").resolve().name)
    )
    queue.put(job("second"))
    assert synced == ["queue.part", "queue.jsonl", tmp_path.name]


def test_what_is_removed_or_given_back_is_noted(tmp_path: Path) -> None:
    """Deleted prompts do not come back; one that a drain stopped has lost no attempt."""
    queue = queue_at(tmp_path / "queue.jsonl")
    for name in "abc":
        queue.put(job(name))
    running = queue.get()
    assert running is not None
    queue.done(running, RESULT, requeue=True)
    queue.delete(["b"])
    kept, _ = queue_at(tmp_path / "queue.jsonl").restore()
    assert [(j.prompt_id, j.attempts) for j in kept] == [("a", 0), ("c", 0)]


def test_the_journal_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While prompts always wait the file is written anew now and then."""
    monkeypatch.setattr("ddcolor_service.journal._GROWN", 2000)
    journal = tmp_path / "queue.jsonl"
    queue = queue_at(journal)
    queue.put(job("first", number=1e9))
    for number in range(200):
        queue.put(job(f"job-{number}"))
        running = queue.get()
        assert running is not None
        queue.done(running, RESULT)
        assert journal.stat().st_size < 2500
    assert [j.prompt_id for j in queue_at(journal).restore()[0]] == ["first"]


def test_an_idle_journal_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that empties again and again keeps the finished prompts only up to a limit."""
    monkeypatch.setattr("ddcolor_service.journal._IDLE", 1000)
    journal = tmp_path / "queue.jsonl"
    queue = queue_at(journal)
    sizes = []
    for number in range(30):
        queue.put(job(f"job-{number}"))
        running = queue.get()
        assert running is not None
        queue.done(running, RESULT)
        sizes.append(journal.stat().st_size)
    assert 0 in sizes
    assert max(sizes) <= 1000


def test_history_is_limited() -> None:
    """The oldest prompts leave the history first."""
    queue = PromptQueue(max_waiting=10, max_history=3)
    for name in "abcde":
        queue.put(job(name))
        running = queue.get()
        assert running is not None
        queue.done(running, RESULT)
    assert list(queue.history()) == ["c", "d", "e"]


async def test_drain_waits_for_the_running_prompt(tmp_path: Path) -> None:
    """A stop lets the running prompt end, refuses new ones and keeps those that wait."""
    async with running_service(tmp_path) as service:
        await service.upload(encoded())
        await service.arm("slow_inference", seconds=0.5)
        first = await service.queue(workflow())
        await service.running(first)
        second = await service.queue(workflow(size=640))
        stopping = asyncio.create_task(asyncio.to_thread(service.service.worker.stop, 20.0))
        assert (await service.finished(first))["status"]["completed"] is True
        assert await stopping is True
        status, answer = await service.post("/prompt", {"prompt": workflow()})
        assert status == 503
        assert "stopping" in answer["error"]["message"]
        assert (await service.get("/healthz"))[0] == 200
        assert (await service.get("/readyz"))[0] == 503
    async with running_service(tmp_path) as service:
        assert (await service.finished(second))["status"]["completed"] is True


async def test_drain_requeues_what_takes_too_long(tmp_path: Path) -> None:
    """A prompt that does not end in time is stopped, kept, and done by the next process."""
    async with running_service(tmp_path) as service:
        await service.upload(encoded())
        await service.arm("slow_inference", seconds=60)
        headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        _, answer = await service.post("/prompt", {"prompt": workflow()}, headers=headers)
        prompt_id = answer["prompt_id"]
        await service.running(prompt_id)
        assert await asyncio.to_thread(service.service.worker.stop, 0.1) is True
        assert (await service.get(f"/history/{prompt_id}"))[1] == {}
    async with running_service(tmp_path) as service:
        entry = await service.finished(prompt_id)
        assert entry["status"]["completed"] is True
        records = [
            r
            for r in await service.record("comfyui.prompt.finished", 2)
            if r["comfyui.prompt.outcome"] == "success"
        ]
        assert records[0]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_a_prompt_given_up_is_in_the_history(tmp_path: Path) -> None:
    """Whoever waits for a prompt that is given up learns that it failed."""
    (tmp_path / "data").mkdir()
    row = {
        "number": 0,
        "prompt_id": "killer",
        "prompt": workflow(),
        "extra_data": {},
        "outputs": ["3"],
        "carrier": {},
        "attempts": 2,
    }
    (tmp_path / "data" / "queue.jsonl").write_bytes(orjson.dumps({"put": row}) + b"\n")
    async with running_service(tmp_path) as service:
        error = error_of(await service.finished("killer"))
        assert error["kind"] == "execution_error"
        assert "ended twice" in error["exception_message"]
