"""Make the checkout's ``.venv`` from the lock file; standard library only.

``make`` runs this before anything else, with whatever Python the machine has. The heavy part, the
locked dependencies, goes into an environment of its own in the cache folder, keyed by the lock
file's hash, so that a second checkout (or a fresh clone in CI) is ready in seconds. ``.venv`` in
the checkout then holds this project alone and looks through to that environment.

With ``--stack`` what the native stack runs is fetched and built meanwhile: one of them waits for
the network most of the time, another compiles. What fails there is said by the command that needs
it, which tries again.

Every step may be interrupted and run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "locks" / "development.txt"
COMPLETE = "complete"
_SAY_EVERY_S = 30.0

if sys.version_info < (3, 11):  # noqa: UP036 -- make runs this with whatever python3 is there
    sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")

# Stand-alone modules of the package: they import nothing that is not in the standard library.
sys.path.insert(0, str(ROOT / "operations"))

from ddcolor_operations.doctor import missing, print_missing  # noqa: E402
from ddcolor_operations.layout import cache_dir  # noqa: E402
from ddcolor_operations.toolchain import collectors, elastalert, elasticsearch  # noqa: E402
from ddcolor_operations.toolchain.errors import ToolchainError  # noqa: E402


def main() -> int:
    """Prepare ``.venv``; return the process's exit code."""
    if print_missing():
        print("Install these and run the same command again.", file=sys.stderr)
        return 2
    try:
        with building_stack() if "--stack" in sys.argv[1:] else contextlib.nullcontext():
            dependencies = ensure_dependencies()
        ensure_checkout_environment(dependencies)
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to go on from here.", file=sys.stderr)
        return 130
    except subprocess.CalledProcessError as error:
        print(
            f"Set-up failed: {error.cmd[0]} ended with code {error.returncode}; its output is"
            " above. Run the same command again once the cause is mended.",
            file=sys.stderr,
        )
        return 1
    return 0


@contextlib.contextmanager
def building_stack() -> Iterator[None]:
    """Fetch and build what the stack runs while the block runs, and wait for it at the end."""
    tools = [elastalert] if missing("whole stack") else [elasticsearch, collectors, elastalert]
    # Daemons: an interrupt must not wait for a download, which goes on from where it was cut off.
    threads = [threading.Thread(target=_build, args=(tool,), daemon=True) for tool in tools]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


def _build(tool: Any) -> None:
    with contextlib.suppress(ToolchainError, OSError):
        tool.ensure(lambda text: print(text, flush=True))


def ensure_dependencies() -> Path:
    """Return the locked environment's folder, installing it when it is not complete."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache_dir() / "python" / f"{version}-{digest}"
    if (folder / COMPLETE).exists():
        return folder
    started = time.monotonic()
    print(f"Python packages: installing into {folder} (minutes on the first run) ...", flush=True)
    create_environment(folder, with_pip=True)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--no-compile"]
    install += ["--quiet", "--require-hashes", "--no-deps", "-r", str(LOCK)]
    run_long(install, started)
    (folder / COMPLETE).touch()
    print(f"Python packages: done in {time.monotonic() - started:.0f} s", flush=True)
    return folder


def run_long(command: list[str], started: float) -> None:
    """Run a quiet command, saying now and then that it still runs. Raises CalledProcessError."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait(_SAY_EVERY_S)
            except subprocess.TimeoutExpired:
                print(f"Python packages: {time.monotonic() - started:.0f} s so far ...", flush=True)
            else:
                break
    if code:
        raise subprocess.CalledProcessError(code, command)


def ensure_checkout_environment(dependencies: Path) -> None:
    """Make ``.venv`` look through to ``dependencies`` and hold this project (editable)."""
    folder = ROOT / ".venv"
    # A moved checkout or another interpreter makes the environment stale as well as a new lock.
    sources = (ROOT / "pyproject.toml").read_bytes()
    stamp = f"{ROOT}\n{dependencies}\n{hashlib.sha256(sources).hexdigest()}\n"
    marker = folder / COMPLETE
    if marker.exists() and marker.read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    create_environment(folder, with_pip=False)
    site_packages = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}"
    site_packages /= "site-packages"
    link = folder / site_packages / "locked_dependencies.pth"
    link.write_text(f"{dependencies / site_packages}\n")
    pip = [
        str(dependencies / "bin" / "python"),
        "-m",
        "pip",
        "--python",
        str(folder / "bin/python"),
    ]
    pip += ["install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    subprocess.run(pip, check=True)
    marker.write_text(stamp)


def create_environment(folder: Path, *, with_pip: bool) -> None:
    """Create a virtual environment; a half-made one from an interrupted run is made anew."""
    if not (folder / "bin" / "python").exists():
        shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    venv.create(folder, with_pip=with_pip, symlinks=True, clear=False)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
