"""Where the reading of one file has come to, in a form that outlives the process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

HEAD_BYTES = 1024
TAIL_BYTES = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before ``offset`` was read from the file with this identity and this content.

    Inode numbers are used again, and files are cut and written anew: so the mark also knows, as
    hashes, the first ``head_bytes`` and the last bytes before ``offset``. ``context`` is the offset
    from which lines have to be looked at again to understand the next one; the same as ``offset``
    where each line stands alone. ``generation`` names this content for ever, for a file that was
    written anew may begin with the very same lines.
    """

    path: str
    device: int
    inode: int
    offset: int
    context: int
    head_bytes: int
    head: str
    tail: str
    generation: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Mark:
        """Read what :meth:`to_json` wrote. Raises TypeError for anything else."""
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """Return the mark as plain values."""
        return asdict(self)

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self.device, self.inode

    def is_of(self, descriptor: int) -> bool:
        """Say whether an open file, whatever its name and inode, holds what was read."""
        if os.fstat(descriptor).st_size < self.offset:
            return False
        tail = bytes_before(descriptor, self.offset, TAIL_BYTES)
        return self.begins(descriptor) and digest(tail) == self.tail

    def begins(self, descriptor: int) -> bool:
        """Say whether an open file begins as the one that was read."""
        return digest(os.pread(descriptor, self.head_bytes, 0)) == self.head


def bytes_before(descriptor: int, offset: int, count: int) -> bytes:
    """Return up to ``count`` bytes that stand just before ``offset``."""
    start = max(0, offset - count)
    return os.pread(descriptor, offset - start, start)


def digest(data: bytes) -> str:
    """Return a hash that names ``data``; the text of a log must not stand in a state file."""
    return hashlib.sha256(data).hexdigest()[:32]
