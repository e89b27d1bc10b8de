"""Failures and successes of one key in the order in which they happened, however they arrive."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# Where an event stands in the order in which things happened: seconds since the epoch, and its uid.
Place = tuple[float, str]

# What lies further back is settled: nothing arrives that late.
_SUCCESSES_KEPT = 20
_FAILURES_KEPT = 2000


@dataclass(slots=True)
class Streaks:
    """The last streaks, each the failures between two successes.

    Nothing before the first of ``successes`` counts. Of the streak after it, ``more`` failures are
    only known by their number.
    """

    failures: list[Place] = field(default_factory=list)
    successes: list[Place] = field(default_factory=lambda: [(0.0, "")])
    more: int = 0

    def add(
        self, failures: Iterable[Place], successes: Iterable[Place], threshold: int
    ) -> list[tuple[Place, int]]:
        """Add what arrived together; return each failure that fires, with its streak's length.

        A streak fires at its ``threshold``-th failure, at twice and three times of it and so on.
        When a failure that arrives late makes an older one the ``threshold``-th, the late one
        fires in its stead.
        """
        for success in successes:
            if success > self.successes[0] and not _holds(self.successes, success):
                insort(self.successes, success)
        added = []
        for failure in failures:
            if failure > self.successes[0] and not _holds(self.failures, failure):
                insort(self.failures, failure)
                added.append(failure)
        fired: list[tuple[Place, int]] = []
        for streak, more in self._streaks_of(added):
            fired += _crossings(streak, more, set(added), threshold)
        self._forget()
        return sorted(fired)

    def dump(self) -> dict[str, Any]:
        """Return all of it, as JSON holds it."""
        return {"failures": self.failures, "successes": self.successes, "more": self.more}

    @classmethod
    def restore(cls, known: dict[str, Any]) -> Streaks:
        """Return what :meth:`dump` has said."""
        return cls(
            [(at, uid) for at, uid in known["failures"]],
            [(at, uid) for at, uid in known["successes"]],
            known["more"],
        )

    def _streaks_of(self, added: list[Place]) -> Iterable[tuple[list[Place], int]]:
        """Yield each streak that holds one of ``added``, with its failures that are not listed."""
        for number in sorted({bisect_left(self.successes, failure) for failure in added}):
            first = bisect_right(self.failures, self.successes[number - 1])
            last = len(self.failures)
            if number < len(self.successes):
                last = bisect_left(self.failures, self.successes[number])
            yield self.failures[first:last], self.more if number == 1 else 0

    def _forget(self) -> None:
        if len(self.successes) > _SUCCESSES_KEPT:
            self._begin_at(len(self.successes) - _SUCCESSES_KEPT)
        if len(self.failures) > _FAILURES_KEPT:
            half = _FAILURES_KEPT // 2
            number = bisect_left(self.successes, self.failures[half]) - 1
            if number:
                self._begin_at(number)
            surplus = len(self.failures) - half
            if surplus > 0:
                self.more += surplus
                del self.failures[:surplus]

    def _begin_at(self, number: int) -> None:
        del self.successes[:number]
        del self.failures[: bisect_right(self.failures, self.successes[0])]
        self.more = 0


def _crossings(
    streak: list[Place], more: int, added: set[Place], threshold: int
) -> Iterable[tuple[Place, int]]:
    length = more + len(streak)
    known = length - sum(failure in added for failure in streak)
    for number in range(known // threshold + 1, length // threshold + 1):
        count = number * threshold
        failure = streak[count - more - 1]
        if failure not in added:
            failure = next(one for one in reversed(streak) if one in added)
        yield failure, count


def _holds(places: list[Place], place: Place) -> bool:
    index = bisect_left(places, place)
    return places[index : index + 1] == [place]
