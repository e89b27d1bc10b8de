"""Print the entries of a lock file that an image needs, with their hashes.

One lock pins everything that this project runs; an image takes its part of it::

    python select_lock.py runtime.txt --without torch 'nvidia-*' > wanted.txt
    pip install --no-deps --require-hashes --requirement wanted.txt
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import sys
from collections.abc import Sequence
from pathlib import Path

# A line that begins an entry; its hashes follow, indented.
_ENTRY = re.compile(r"(?m)^(?=[A-Za-z0-9])")
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the chosen entries; fails when a pattern matches none, as a misspelt one does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--only", nargs="+", metavar="PATTERN")
    choice.add_argument("--without", nargs="+", metavar="PATTERN")
    parser.add_argument("--pins", action="store_true", help="print name==version alone")
    options = parser.parse_args(arguments)
    patterns: list[str] = options.only or options.without
    unused = set(patterns)
    for entry in _ENTRY.split(options.lock.read_text(encoding="utf-8")):
        pin = _PIN.match(entry)
        if pin is None:
            continue
        matching = {pattern for pattern in patterns if fnmatch.fnmatchcase(pin[1], pattern)}
        unused -= matching
        if bool(matching) == (options.only is not None):
            sys.stdout.write(f"{pin[0]}\n" if options.pins else entry)
    if unused:
        sys.stderr.write(f"{options.lock} has no entry for {', '.join(sorted(unused))}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
