"""Run a program that may write to named places alone: ``python confined.py PATH... -- CMD...``.

The kernel's Landlock sees to that, for root too.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# <linux/landlock.h>: numbers of the calls, and rights; the two of a single file come first.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH = 1
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
_FILE = _WRITE_FILE | _TRUNCATE
_ALL = _FILE | sum(1 << bit for bit in range(4, 14))  # remove, make and move anything
_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock (Linux 5.19 or newer) is needed: {os.strerror(error)}")
    return result


def confine(writable: list[str]) -> None:
    """Take from this process, for good, the right to write outside of ``writable``."""
    rules = _call(_CREATE, ctypes.byref(ctypes.c_uint64(_ALL)), 8, 0)
    for path in writable:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = _ALL if Path(path).is_dir() else _FILE
        _call(_ADD, rules, _PATH_BENEATH, ctypes.byref(_PathBeneath(allowed, handle)), 0)
        os.close(handle)
    if _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs was refused")
    _call(_RESTRICT, rules, 0)
    os.close(rules)


def main(argv: list[str]) -> None:
    """Confine this process and become the program."""
    split = argv.index("--")
    command = argv[split + 1 :]
    confine(argv[:split])
    os.execvp(command[0], command)  # noqa: S606  the point of it


if __name__ == "__main__":
    main(sys.argv[1:])
