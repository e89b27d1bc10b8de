"""The ids of log records."""

from __future__ import annotations

import os
import re
import threading

from comfyui_telemetry._uid import record_uid

_NOW = 1_763_984_055_477_721_000


def test_it_is_shaped_like_a_ulid_of_its_time() -> None:
    """26 Crockford digits, of which the first ten are the milliseconds."""
    uid = record_uid(_NOW)
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", uid)
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    ms = 0
    for digit in uid[:10]:
        ms = ms * 32 + digits.index(digit)
    assert ms >= _NOW // 1_000_000


def test_ids_of_one_process_are_in_order_even_if_the_clock_steps_back() -> None:
    """Text order is the order of making, within a millisecond and over a step of the clock."""
    uids = [record_uid(_NOW) for _ in range(5000)] + [record_uid(_NOW - 10**9), record_uid(_NOW)]
    assert uids == sorted(uids)
    assert len(set(uids)) == len(uids)


def test_threads_make_no_id_twice() -> None:
    """Eight threads at the same millisecond share no id."""
    made: list[list[str]] = [[] for _ in range(8)]

    def work(into: list[str]) -> None:
        into.extend(record_uid(_NOW) for _ in range(2000))

    threads = [threading.Thread(target=work, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({uid for into in made for uid in into}) == 16_000


def test_a_forked_child_makes_other_ids() -> None:
    """The child draws its own randomness, so it repeats no id of its parent."""
    before = record_uid(_NOW)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, record_uid(_NOW).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reader, 26).decode()
    os.close(reader)
    os.close(writer)
    assert theirs[16:] != before[16:]
