"""Ids for log records: ULID-shaped, ordered by time, unique across processes and forks.

Layout of the 26 Crockford base32 digits: 10 of milliseconds since the epoch, 6 of a counter of this
process, 10 of randomness drawn once per process. The counter (not fresh randomness) orders records
of one millisecond and costs no system call.
"""

from __future__ import annotations

import itertools
import os
import secrets

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Ten bits a look-up: two digits at once.
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_COUNTER_SPAN = 1 << 30


class _State:
    """What a fork must renew: the counter and the randomness of this process."""

    __slots__ = ("last_ms", "next", "suffix")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        # A start in the lower half leaves half a billion records before the first wrap.
        self.next = itertools.count(secrets.randbelow(_COUNTER_SPAN // 2)).__next__
        self.suffix = "".join(secrets.choice(_DIGITS) for _ in range(10))
        self.last_ms = 0


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.renew)


def record_uid(time_ns: int) -> str:
    """Return the id of a record of ``time_ns`` (nanoseconds since the epoch).

    A clock that steps back does not reorder ids: the last millisecond is then used again.
    """
    ms = time_ns // 1_000_000
    if ms < _state.last_ms:
        ms = _state.last_ms
    else:
        _state.last_ms = ms
    count = _state.next() % _COUNTER_SPAN
    pairs = _PAIRS
    return (
        pairs[ms >> 40 & 1023]
        + pairs[ms >> 30 & 1023]
        + pairs[ms >> 20 & 1023]
        + pairs[ms >> 10 & 1023]
        + pairs[ms & 1023]
        + pairs[count >> 20]
        + pairs[count >> 10 & 1023]
        + pairs[count & 1023]
        + _state.suffix
    )
