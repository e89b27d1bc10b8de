"""ComfyUI clients of third parties, unchanged, against the real service."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comfy_api_simplified import (  # type: ignore[import-untyped]
    ComfyApiWrapper,
    ComfyWorkflowWrapper,
)
from comfy_api_simplified.exceptions import ComfyApiError  # type: ignore[import-untyped]
from PIL import Image

import ddcolor_service
from ddcolor_operations.layout import cache_dir
from ddcolor_operations.toolchain.cached import ensure_folder
from ddcolor_operations.toolchain.commands import run_tool
from tests.support.service_process import ServiceProcess

CLIENTS = Path(__file__).parents[1] / "clients"
PACKAGE = Path(ddcolor_service.__file__).parent
WORKFLOW = PACKAGE / "workflows" / "person.json"
PHOTO = PACKAGE / "assets" / "photos" / "person.jpg"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """Yield a running service."""
    running = ServiceProcess(tmp_path_factory.mktemp("service")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def modules() -> Path:
    """Return the folder with the JavaScript client that the lock file names, installed once."""
    files = [CLIENTS / "package.json", CLIENTS / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = cache_dir() / "test-clients" / digest

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        run_tool(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            what="installing the JavaScript client that the API is tested with",
            what_to_do="Install Node.js 18 or newer with npm (apt-get install nodejs npm)",
            cwd=folder,
        )

    ensure_folder(folder, install)
    return folder


def colours(picture: bytes) -> tuple[tuple[int, int], float]:
    """Return a picture's size and how far its channels are apart on average, 0..255."""
    image = Image.open(io.BytesIO(picture))
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    return image.size, float(np.ptp(pixels, axis=2).mean())


def check_restored(picture: bytes) -> None:
    """Check that a picture is the photo in its own size, and has colours now."""
    size, spread = colours(picture)
    assert size == Image.open(PHOTO).size
    assert spread > 5 > colours(PHOTO.read_bytes())[1]


def test_comfy_api_simplified(service: ServiceProcess) -> None:
    """The Python client uploads, queues, waits by WebSocket and fetches the picture."""
    api = ComfyApiWrapper(service.url)
    stored = api.upload_image(PHOTO)
    assert stored == {"name": PHOTO.name, "subfolder": "default_upload_folder", "type": "input"}
    workflow = ComfyWorkflowWrapper(WORKFLOW)
    workflow.set_node_param("黑白照片", "image", f"{stored['subfolder']}/{stored['name']}")
    pictures = api.queue_and_wait_images(workflow, "保存彩色照片")
    ((name, picture),) = pictures.items()
    assert name.startswith("DDColor_person_")
    check_restored(picture)
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}
    assert "LoadImage" in api.get_object_info("LoadImage")
    assert api.get_system_stats()["devices"][0]["type"] == "cpu"
    assert api.get_embeddings() == []
    api.interrupt()


def test_comfy_api_simplified_is_refused(service: ServiceProcess, tmp_path: Path) -> None:
    """The Python client raises its own error for a photo that is none, and for a wrong prompt."""
    (tmp_path / "text.png").write_text("no picture")
    api = ComfyApiWrapper(service.url)
    with pytest.raises(ComfyApiError, match="400"):
        api.upload_image(tmp_path / "text.png")
    workflow = ComfyWorkflowWrapper(WORKFLOW)
    workflow.set_node_param("黑白照片", "image", "nobody.png")
    with pytest.raises(ComfyApiError, match="400"):
        api.queue_and_wait_images(workflow, "保存彩色照片")


def test_stable_canvas(service: ServiceProcess, modules: Path, tmp_path: Path) -> None:
    """The JavaScript client follows a prompt, polls one, and understands what goes wrong."""
    host = service.url.removeprefix("http://").rstrip("/")
    picture = tmp_path / "restored.png"
    run = subprocess.run(
        ["node", CLIENTS / "restore.mjs", modules, host, WORKFLOW, PHOTO, picture],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads(run.stdout)
    assert said["upload"] == {"name": PHOTO.name, "subfolder": "", "type": "input"}
    check_restored(picture.read_bytes())
    assert said["progress"] == [[1, 1]]
    told = [message for message in said["seen"] if message[0] == "executing"]
    assert told[:4] == [["executing", node] for node in ("1", "2", "3", None)]
    assert said["again"] == [True]
    assert said["refusal"]["name"] == "HttpError"
    assert said["refusal"]["status"] == 400
    assert list(said["refusal"]["answer"]["node_errors"]) == ["1"]
    assert "ddcolor_paper.pth" in said["failure"]["message"], said["failure"]
    assert said["device"] == "cpu"
    assert {"LoadImage", "DDColor_Colorize", "SaveImage"} <= set(said["nodes"])
    assert said["history"].count("success") >= 2
