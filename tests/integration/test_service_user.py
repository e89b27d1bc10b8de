"""The service as a user of its own, who may write nowhere but to the declared folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

import ddcolor_service
from tests.support import confined
from tests.support.service import workflow
from tests.support.service_process import ServiceProcess

PHOTO = Path(ddcolor_service.__file__).parent / "assets" / "photos" / "person.jpg"
NOBODY = 65534 if os.geteuid() == 0 else os.geteuid()


def as_nobody(*writable: Path) -> list[str]:
    """Return what to put before a command that may write to ``writable`` alone."""
    prefix = [sys.executable, str(confined.__file__), *map(str, writable), "--"]
    if os.geteuid() == 0:
        prefix += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return prefix


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that other users can read; pytest's own is closed to them."""
    path = Path(tempfile.mkdtemp(prefix="ddcolor-user-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def test_nothing_else_can_be_written(folder: Path) -> None:
    """The confinement that the next test trusts lets files be made in the one folder only."""
    inside, outside = folder / "inside", folder / "outside"
    for path in (inside, outside):
        path.mkdir()
        path.chmod(0o777)
        wanted = path / "file"
        run = subprocess.run(
            [*as_nobody(inside), "touch", str(wanted)], check=False, capture_output=True, text=True
        )
        assert wanted.exists() == (path == inside), run.stderr


def test_a_photo_is_restored_without_any_rights(folder: Path) -> None:
    """Neither root nor a home, a temporary folder or a cache is needed: state and log suffice."""
    state, log = folder / "state", folder / "log"
    for path in (state, log):
        path.mkdir()
        os.chown(path, NOBODY, NOBODY if os.geteuid() == 0 else -1)
    service = ServiceProcess(
        folder,
        *("--log-file", str(log / "service.jsonl")),
        prefix=as_nobody(state, log, Path(os.devnull)),
        environ={"HOME": "/nonexistent", "TMPDIR": "/nonexistent"},
    ).start()
    try:
        assert service.user() == NOBODY
        files = {"image": ("photo.png", PHOTO.read_bytes())}
        requests.post(f"{service.url}upload/image", files=files, timeout=20).raise_for_status()
        sent = requests.post(f"{service.url}prompt", json={"prompt": workflow()}, timeout=20)
        prompt_id = sent.json()["prompt_id"]
        deadline = time.monotonic() + 60
        while not (entry := requests.get(f"{service.url}history/{prompt_id}", timeout=20).json()):
            assert time.monotonic() < deadline, "the prompt never ended"
            time.sleep(0.05)
        assert entry[prompt_id]["status"]["completed"] is True
        (shown,) = entry[prompt_id]["outputs"]["3"]["images"]
        picture = requests.get(f"{service.url}view", params=shown, timeout=20)
        assert picture.content.startswith(b"\x89PNG")
    finally:
        status = service.stop()
    assert status == 0
    assert (log / "service.jsonl").stat().st_uid == NOBODY
