"""How the long steps speak while they run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]
"""Called with one short line for a person, such as ``Elasticsearch 9.4.3: downloading``."""


@contextmanager
def timed(progress: Progress, step: str) -> Iterator[None]:
    """Say that ``step`` begins, and how many seconds it took once it has succeeded."""
    progress(f"{step} ...")
    started = time.monotonic()
    yield
    progress(f"{step}: done in {time.monotonic() - started:.1f} s")
