"""ElastAlert2's own Python environment: it pins libraries that ours cannot have."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ddcolor_operations.layout import cache_dir, project_root

from .cached import ensure_folder
from .commands import run_tool
from .errors import ToolchainError
from .progress import Progress, timed

_VERSIONS = ((3, 12), (3, 13))  # what ElastAlert2 2.31 runs on


@dataclass(frozen=True, slots=True)
class ElastAlertEnv:
    """The interpreter of the environment in which ElastAlert2 is installed."""

    python: Path


def ensure(progress: Progress) -> ElastAlertEnv:
    """Return ElastAlert2's environment, after making it if the lock file changed.

    Raises ToolchainError if no Python 3.12 or 3.13 is found or the installation fails. pip caches
    what it has downloaded, so an installation that was cut off is quick the second time.
    """
    lock = project_root() / "locks" / "elastalert.txt"
    if not lock.is_file():
        raise ToolchainError(
            "The lock file of ElastAlert2 is missing",
            str(lock),
            "Restore it (git restore locks), or set DDCOLOR_OBS_HOME to a whole checkout.",
        )
    base = find_python()
    version = ".".join(map(str, python_version(base) or ()))
    lock_hash = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    folder = cache_dir() / "elastalert" / f"{lock_hash}-python{version}"
    python = folder / "bin" / "python"

    def build(target: Path) -> None:
        with timed(progress, f"ElastAlert2: installing into its own Python {version}"):
            run_tool(
                [str(base), "-m", "venv", str(target)],
                what="Making ElastAlert2's environment failed",
                what_to_do=f"Install the venv module (apt-get install python{version}-venv).",
            )
            run_tool(
                [
                    *(str(python), "-m", "pip", "install", "--disable-pip-version-check"),
                    *("--no-input", "--no-deps", "--require-hashes", "--requirement", str(lock)),
                ],
                what="Installing ElastAlert2 failed",
                what_to_do="Check that the package index can be reached, then run it again.",
            )

    ensure_folder(folder, build)
    return ElastAlertEnv(python)


def find_python(environ: Mapping[str, str] = os.environ) -> Path:
    """Return a Python 3.12 or 3.13 from PATH, pyenv or uv.

    Raises ToolchainError if there is none. What a name promises is checked by running it: pyenv's
    shims exist for versions that are not active.
    """
    for candidate in _candidates(environ):
        if python_version(candidate) in _VERSIONS:
            return candidate
    raise ToolchainError(
        "ElastAlert2 needs a Python 3.12 or 3.13 interpreter, none was found",
        "PATH, pyenv's and uv's folders",
        "Install one (Debian 13: apt-get install python3.13-venv; Ubuntu 24.04: apt-get install"
        " python3.12-venv; elsewhere: pyenv install 3.12).",
    )


def python_version(python: Path) -> tuple[int, int] | None:
    """Return ``(major, minor)`` as the interpreter itself says, or None if it cannot run."""
    try:
        result = subprocess.run(
            [str(python), "-c", "import sys; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.fullmatch(r"(\d+) (\d+)\s*", result.stdout)
    return (int(match[1]), int(match[2])) if match and result.returncode == 0 else None


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    for major, minor in _VERSIONS:
        found = shutil.which(f"python{major}.{minor}", path=environ.get("PATH", ""))
        if found:
            yield Path(found)
    home = Path(environ.get("HOME", "/"))
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for major, minor in _VERSIONS:
        yield from sorted(pyenv.glob(f"versions/{major}.{minor}*/bin/python{major}.{minor}"))
        yield from sorted(uv.glob(f"cpython-{major}.{minor}*/bin/python{major}.{minor}"))
