"""The two OpenTelemetry Collectors, compiled from the sources in ``collector/``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ddcolor_operations.layout import cache_dir, project_root

from .cached import ensure_folder, is_complete
from .commands import run_tool
from .errors import ToolchainError
from .progress import Progress, timed

_GO_ENVIRONMENT = {
    # Nothing that go.sum does not pin is taken, whatever flags the user has set for other work.
    "GOFLAGS": "-mod=readonly",
    "CGO_ENABLED": "0",  # a static binary, and no C compiler needed
    "GOWORK": "off",
}


@dataclass(frozen=True, slots=True)
class Collectors:
    """The executables of both collectors."""

    agent: Path
    gateway: Path


def ensure(progress: Progress) -> Collectors:
    """Return both collectors, after compiling those whose sources changed since the last call.

    Raises ToolchainError if Go is missing or a build fails. Go keeps the modules and packages that
    are done, so a build that was cut off goes on where it stopped.
    """
    return Collectors(
        agent=_ensure_one("agent", progress), gateway=_ensure_one("gateway", progress)
    )


def is_cached() -> bool:
    """Say whether nothing is left to compile. Raises ToolchainError if sources are missing."""
    return all(is_complete(_folder(which)) for which in ("agent", "gateway"))


def _sources(which: str) -> Path:
    return project_root() / "collector" / which


def _folder(which: str) -> Path:
    return cache_dir() / "collectors" / f"ddcolor-{which}-{sources_hash(_sources(which))}"


def _ensure_one(which: str, progress: Progress) -> Path:
    name, sources, folder = f"ddcolor-{which}", _sources(which), _folder(which)

    def build(target: Path) -> None:
        with timed(progress, f"{name}: compiling (minutes on the first run)"):
            run_tool(
                [
                    *("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"),
                    *("-o", str(target / name), "."),
                ],
                what=f"Compiling {name} failed",
                what_to_do="Install Go 1.25 or newer (https://go.dev/dl), check that the Go module"
                " proxy can be reached (go env GOPROXY), then run it again: what is done is kept.",
                cwd=sources,
                env=_GO_ENVIRONMENT,
                lowest_priority=True,
            )

    ensure_folder(folder, build)
    return folder / name


def sources_hash(sources: Path) -> str:
    """Return 12 hex digits over the names and contents of what a collector is compiled from."""
    files = sorted([*sources.glob("*.go"), sources / "go.mod", sources / "go.sum"])
    digest = hashlib.sha256()
    try:
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
    except FileNotFoundError as error:
        raise ToolchainError(
            f"{Path(error.filename).name} is missing",
            str(sources),
            "Restore it (git restore collector), or set DDCOLOR_OBS_HOME to a whole checkout.",
        ) from error
    return digest.hexdigest()[:12]
