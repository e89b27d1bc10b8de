"""Rows of failures are counted in the order in which things happened, however they arrive."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddcolor_alerts.streaks import Place, Streaks

THRESHOLD = 3


def places(outcomes: str, first: int = 1) -> list[tuple[Place, str]]:
    """Return one outcome a second, F or S."""
    return [((float(first + i), f"u{first + i}"), outcome) for i, outcome in enumerate(outcomes)]


def add(streaks: Streaks, batch: list[tuple[Place, str]]) -> list[tuple[float, int]]:
    """Add outcomes together; return the seconds and lengths that fire."""
    fired = streaks.add(
        [place for place, outcome in batch if outcome == "F"],
        [place for place, outcome in batch if outcome == "S"],
        THRESHOLD,
    )
    return [(place[0], length) for place, length in fired]


def plain(outcomes: str) -> list[tuple[float, int]]:
    """Return what fires, by the plainest count there is."""
    row, fired = 0, []
    for (at, _), outcome in places(outcomes):
        row = row + 1 if outcome == "F" else 0
        if row and row % THRESHOLD == 0:
            fired.append((at, row))
    return fired


@pytest.mark.parametrize("outcomes", ["FFSFFF", "FFFFFF", "FFSFF", "SFFF", "", "FFFSFFFF"])
def test_examples(outcomes: str) -> None:
    """F F S F F F fires at the last, six in a row at the third and at the sixth."""
    assert add(Streaks(), places(outcomes)) == plain(outcomes)


@given(st.text("FS", max_size=60), st.randoms(use_true_random=False))
def test_batches_in_order_fire_as_single_outcomes_do(outcomes: str, rng: random.Random) -> None:
    """Cut into batches anywhere, each shuffled, kept as JSON between them, nothing changes."""
    waiting, streaks, fired = places(outcomes), Streaks(), []
    while waiting:
        size = rng.randint(1, len(waiting))
        batch, waiting = waiting[:size], waiting[size:]
        fired += add(streaks, rng.sample(batch, size))
        streaks = Streaks.restore(json.loads(json.dumps(streaks.dump())))
    assert fired == plain(outcomes)


@given(st.text("FS", max_size=15), st.randoms(use_true_random=False))
def test_in_any_order_the_streak_is_right_at_the_end(outcomes: str, rng: random.Random) -> None:
    """Whatever arrived when, the next failures fire as they would after the right order."""
    streaks = Streaks()
    for outcome in rng.sample(places(outcomes), len(outcomes)):
        add(streaks, [outcome])
    after = places("FFF", len(outcomes) + 1)

    fired = [item for outcome in after for item in add(streaks, [outcome])]
    assert fired == [item for item in plain(outcomes + "FFF") if item[0] > len(outcomes)]


def test_a_late_success_ends_the_row_at_its_place() -> None:
    """F F . F F with the S arriving last: the next failure is the third, not the fifth."""
    streaks = Streaks()
    add(streaks, [*places("FF"), *places("F", 4)])
    add(streaks, places("S", 3))
    assert add(streaks, places("F", 5)) == []
    assert add(streaks, places("F", 6)) == [(6.0, 3)]


def test_what_arrives_twice_counts_once() -> None:
    """The same record again is not another failure."""
    streaks = Streaks()
    for _ in range(5):
        assert add(streaks, places("FF")) == []


def test_a_row_of_a_hundred_thousand_is_counted_in_little_room() -> None:
    """Failures further back than anything can arrive are only a number."""
    streaks = Streaks()
    last: list[tuple[float, int]] = []
    for first in range(1, 100_000, 500):
        last = add(streaks, places("F" * 500, first)) or last
    assert last[-1] == (99_999.0, 99_999)
    assert len(streaks.failures) <= 2000
    for first in range(200_000, 200_400, 2):
        add(streaks, places("FS", first))
    assert (len(streaks.successes), streaks.more) == (20, 0)
