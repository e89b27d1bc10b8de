"""Name what this machine lacks, with the command that installs it.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ddcolor_operations.toolchain import collectors, elasticsearch
from ddcolor_operations.toolchain.elastalert import find_python
from ddcolor_operations.toolchain.errors import ToolchainError
from ddcolor_operations.toolchain.java import find_java, java_version

_GO_MINIMUM = (1, 25)


# "always": nothing runs without it. "whole stack": without it the embedded stack runs, which has no
# Elasticsearch. "tests": only for some tests, or for making certificates.
Needed = Literal["always", "whole stack", "tests"]
# Tool, what it is for, what finds it, how to get it.
_Need = tuple[str, str, Callable[[], str | None], str, Needed]


@dataclass(frozen=True)
class Finding:
    """One tool that a stack needs: what was found, and how to get it if it was not."""

    tool: str
    purpose: str
    found: str | None
    install: str
    needed: Needed

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at everything the native stack needs from the machine."""
    return [_look(need) for need in _NEEDS]


def missing(needed: Needed) -> list[Finding]:
    """Return what is not there of the tools that are needed to this degree."""
    found = (_look(need) for need in _NEEDS if need[-1] == needed)
    return [finding for finding in found if finding.found is None]


def print_missing() -> bool:
    """Print each tool that nothing runs without, with its command; say whether any is missing."""
    lacking = missing("always")
    if lacking:
        print("Missing on this machine (Debian and Ubuntu commands):", file=sys.stderr)
    for item in lacking:
        print(f"  {item.tool} ({item.purpose}):\n      {item.install}", file=sys.stderr)
    return bool(lacking)


def _look(need: _Need) -> Finding:
    tool, purpose, check, install, needed = need
    try:
        found = check()
    except (ToolchainError, OSError, subprocess.SubprocessError):
        found = None
    return Finding(tool, purpose, found, install, needed)


def _python() -> str | None:
    return ".".join(map(str, sys.version_info[:3]))


def _venv() -> str | None:
    return "yes" if importlib.util.find_spec("ensurepip") else None


def _elastalert_python() -> str | None:
    return str(find_python())


def _java() -> str | None:
    java = find_java()
    return f"{java_version(java)} ({java})"


def _on_path(name: str) -> Callable[[], str | None]:
    return lambda: shutil.which(name)


def _maven() -> str | None:
    if elasticsearch.is_cached():
        return "not needed any more: Elasticsearch is in the cache"
    return shutil.which("mvn")


def _go() -> str | None:
    if collectors.is_cached():
        return "not needed any more: the collectors are in the cache"
    shown = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"go(\d+)\.(\d+)", shown)
    if match is None or (int(match[1]), int(match[2])) < _GO_MINIMUM:
        return None
    return shown.split()[2].removeprefix("go")


_NEEDS: tuple[_Need, ...] = (
    ("Python >= 3.11", "everything", _python, "apt-get install python3", "always"),
    ("Python venv", "virtual environments", _venv, "apt-get install python3-venv", "always"),
    (
        "Python 3.12 or 3.13",
        "the alert rules (ElastAlert2)",
        _elastalert_python,
        "apt-get install python3.13 python3.13-venv   (or: pyenv install 3.13)",
        "always",
    ),
    (
        "setpriv",
        "starting the parts of the stack",
        _on_path("setpriv"),
        "apt-get install util-linux",
        "always",
    ),
    ("JDK >= 21", "Elasticsearch", _java, "apt-get install openjdk-21-jdk-headless", "whole stack"),
    ("Maven", "fetching Elasticsearch", _maven, "apt-get install maven", "whole stack"),
    (
        f"Go >= {_GO_MINIMUM[0]}.{_GO_MINIMUM[1]}",
        "building the collectors",
        _go,
        "apt-get install golang   (or https://go.dev/dl)",
        "whole stack",
    ),
    (
        "OpenSSL",
        "certificates of the container stack, and tests",
        _on_path("openssl"),
        "apt-get install openssl",
        "tests",
    ),
    (
        "HAProxy",
        "tests of the container stack's front",
        # Debian keeps it where only root's PATH leads.
        lambda: shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin"),
        "apt-get install haproxy",
        "tests",
    ),
    (
        "Node.js and npm",
        "tests with JavaScript clients only",
        _on_path("npm"),
        "apt-get install nodejs npm",
        "tests",
    ),
    (
        "Chromium",
        "browser tests only",
        _on_path("chromium"),
        "apt-get install chromium fonts-noto-cjk",
        "tests",
    ),
)
