"""Find a Java that Elasticsearch 9 runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import ToolchainError

MINIMUM = 21
_SYSTEM_FOLDER = Path("/usr/lib/jvm")


def find_java(
    environ: Mapping[str, str] = os.environ, system_folder: Path = _SYSTEM_FOLDER
) -> Path:
    """Return the ``java`` of the first JDK of version 21 or newer.

    Looked for in ES_JAVA_HOME, JAVA_HOME, PATH and the system's JVM folder, in this order. Raises
    ToolchainError that lists what was found instead.
    """
    seen: list[str] = []
    for java in _candidates(environ, system_folder):
        version = java_version(java)
        if version is None:
            seen.append(f"{java} is no working Java")
        elif version < MINIMUM:
            seen.append(f"{java} is version {version}")
        elif not java.with_name("javac").is_file():
            seen.append(f"{java} is a runtime without a compiler")
        else:
            return java
    raise ToolchainError(
        f"Elasticsearch needs a JDK of version {MINIMUM} or newer; found: "
        + ("; ".join(seen) or "none"),
        f"ES_JAVA_HOME, JAVA_HOME, PATH, {system_folder}",
        "Install one (Debian 13, Ubuntu 24.04: apt-get install openjdk-21-jdk-headless) or set"
        " ES_JAVA_HOME to the folder of one.",
    )


def java_version(java: Path) -> int | None:
    """Return the feature version that ``java`` reports (17, 21, ...), or None if it cannot run."""
    try:
        result = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    return int(match.group(1)) if match and result.returncode == 0 else None


def _candidates(environ: Mapping[str, str], system_folder: Path) -> Iterator[Path]:
    """Yield each existing ``java`` once, by its real path (``/usr/bin/java`` is a link)."""
    seen: set[Path] = set()
    named = [
        Path(environ[name]) / "bin/java"
        for name in ("ES_JAVA_HOME", "JAVA_HOME")
        if environ.get(name)
    ]
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        named.append(Path(on_path))
    # Newest first is not asked for: any JDK that is new enough will do, in a stable order.
    for java in [*named, *sorted(system_folder.glob("*/bin/java"))]:
        if not java.is_file():
            continue
        resolved = java.resolve()
        if resolved not in seen:
            seen.add(resolved)
            yield resolved
