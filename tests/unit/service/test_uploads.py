"""Uploads over HTTP: stored under a safe name, or refused with a kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData

from ddcolor_service.api.uploads import SLOTS
from tests.support.service import Harness, encoded, picture, running_service, workflow


async def test_same_name_same_bytes(service: Harness) -> None:
    """The same file twice is one file; other bytes get a number behind the name."""
    first = await service.upload(encoded(), "bw.png")
    assert first == (200, {"name": "bw.png", "subfolder": "", "type": "input"})
    assert await service.upload(encoded(), "bw.png") == first
    assert (await service.upload(encoded(picture(seed=1)), "bw.png"))[1]["name"] == "bw (1).png"
    assert (await service.upload(encoded(picture(seed=2)), "bw.png"))[1]["name"] == "bw (2).png"
    assert (await service.upload(encoded(picture(seed=2)), "bw.png"))[1]["name"] == "bw (2).png"


async def test_overwrite_and_subfolder(service: Harness) -> None:
    """An overwrite replaces the file; a subfolder and a type are kept apart."""
    await service.upload(encoded(), "bw.png", subfolder="old/1901", type="temp")
    status, answer = await service.upload(
        encoded(picture(seed=1)), "bw.png", subfolder="old/1901", type="temp", overwrite="true"
    )
    assert (status, answer) == (200, {"name": "bw.png", "subfolder": "old/1901", "type": "temp"})
    stored = service.service.folders.base("temp") / "old/1901/bw.png"
    assert stored.read_bytes() == encoded(picture(seed=1))


async def test_chinese_names(service: Harness) -> None:
    """A name in any script works from upload to picture."""
    status, answer = await service.upload(encoded(), "奶奶 1952.png")
    assert status == 200
    assert answer["name"] == "奶奶 1952.png"
    assert (await service.run(workflow(answer["name"])))["status"]["completed"] is True
    response = await service.client.get(
        "/view", params={"filename": answer["name"], "type": "input"}
    )
    assert response.status == 200


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "decode_failed"),
        (b"no photo", "decode_failed"),
        (encoded()[:-1], "image_truncated"),
        (encoded(form="JPEG")[:-300], "image_truncated"),
    ],
)
async def test_broken_photos_are_refused(service: Harness, data: bytes, kind: str) -> None:
    """A broken photo is a 400 that says what to do, a record, a failed span, and no file."""
    status, answer = await service.upload(data, "grandmother.png")
    assert status == 400
    assert answer["error"]["type"] == kind
    assert answer["error"]["extra_info"]["kind"] == kind
    assert answer["error"]["extra_info"]["action"]["zh"]
    assert answer["error"]["message"]
    (record,) = await service.record("comfyui.upload.rejected")
    assert record["comfyui.error.kind"] == kind
    span = service.span("POST /upload/image")
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.status.is_ok) == (kind, False)
    assert list(service.service.folders.base("input").iterdir()) == []
    assert "grandmother" not in service.log_file.read_text()


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "/etc/evil.png",
        "a/b.png",
        "..",
        ".hidden.png",
        "a\\b.png",
        "x" * 300 + ".png",
    ],
)
async def test_unsafe_names_are_refused(service: Harness, name: str) -> None:
    """A name that is no plain file name is refused before anything is stored."""
    status, answer = await service.upload(encoded(), name)
    assert status == 400
    assert answer["error"]["extra_info"]["kind"] == "invalid_request"
    root = service.service.folders.root
    assert list(root.parent.rglob("*.png")) == []


@pytest.mark.parametrize("subfolder", ["../x", "a/../../x", "..", "/../x", "a\\..\\x"])
async def test_unsafe_subfolders_are_refused(service: Harness, subfolder: str) -> None:
    """A subfolder cannot lead out of the folder."""
    status, answer = await service.upload(encoded(), "bw.png", subfolder=subfolder)
    assert status == 400
    assert answer["error"]["extra_info"]["kind"] == "invalid_request"


async def test_symbolic_links_lead_nowhere(service: Harness, tmp_path: Path) -> None:
    """A link in the input folder is neither read, listed nor written through."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded())
    base = service.service.folders.base("input")
    (base / "link.png").symlink_to(secret)
    (base / "folder").symlink_to(tmp_path)
    for params in (
        {"filename": "link.png", "type": "input"},
        {"filename": "secret.png", "subfolder": "folder", "type": "input"},
    ):
        assert (await service.client.get("/view", params=params)).status in (400, 404)
    status, _ = await service.post("/prompt", {"prompt": workflow("link.png")})
    assert status == 400
    status, _ = await service.upload(encoded(picture(seed=3)), "new.png", subfolder="folder")
    assert status == 400
    assert not (tmp_path / "new.png").exists()


async def test_limits(tmp_path: Path) -> None:
    """Too many bytes or pixels are a 413 of kind image_too_large; the next photo works."""
    async with running_service(tmp_path, max_upload_bytes=20_000, max_pixels=10_000) as service:
        for data in (bytes(50_000), encoded(picture(200, 200))):
            status, answer = await service.upload(data)
            assert status == 413
            assert answer["error"]["extra_info"]["kind"] == "image_too_large"
        assert (await service.upload(encoded()))[0] == 200


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n", "multipart/form-data; boundary=b", 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx", "multipart/form-data; boundary=b", 400),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 400),
        (b"{}", "application/json", 415),
        (encoded(), "image/png", 415),
    ],
)
async def test_broken_forms(service: Harness, body: bytes, content_type: str, status: int) -> None:
    """A form that is none is refused with a kind, never a 500."""
    response = await service.client.post(
        "/upload/image", data=body, headers={"Content-Type": content_type}
    )
    assert response.status == status
    assert (await response.json())["error"]["extra_info"]["kind"]


async def test_two_files_in_one_form(service: Harness) -> None:
    """A form with two files is refused: nobody would know which one was stored."""
    form = FormData()
    form.add_field("image", encoded(), filename="a.png")
    form.add_field("image", encoded(), filename="b.png")
    response = await service.client.post("/upload/image", data=form)
    assert response.status == 400


async def test_view_refuses_and_converts(with_photo: Harness) -> None:
    """/view answers 404 and 400 as ComfyUI does, and previews in another format."""
    for params, status in (
        ({"filename": "nosuch.png"}, 404),
        ({"filename": "../settings.toml"}, 400),
        ({"filename": "a.png", "subfolder": "../.."}, 400),
        ({"filename": "a.png", "type": "etc"}, 400),
        ({}, 400),
    ):
        assert (await with_photo.client.get("/view", params=params)).status == status, params
    params = {"filename": "photo.png", "type": "input"}
    response = await with_photo.client.get("/view", params={**params, "preview": "webp;50"})
    assert response.content_type == "image/webp"
    response = await with_photo.client.get("/view", params={**params, "channel": "a"})
    assert response.content_type == "image/png"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_too_many_uploads(service: Harness) -> None:
    """While as many uploads run as memory allows, further ones are told to come back."""
    app = service.client.app
    assert app is not None
    app[SLOTS].uploads = asyncio.Semaphore(0)
    status, answer = await service.upload(encoded())
    assert status == 429
    assert answer["error"]["message"].startswith("Too many uploads")
    app[SLOTS].uploads = asyncio.Semaphore(1)
    assert (await service.upload(encoded()))[0] == 200
    assert (await service.upload(b"broken"))[0] == 400
    assert (await service.upload(encoded()))[0] == 200


async def test_an_upload_that_never_ends(service: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that does not come to its end in time is answered, and gives its place back."""
    monkeypatch.setattr("ddcolor_service.api.uploads._FORM_TIMEOUT_S", 0.1)

    async def trickle() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        await asyncio.Event().wait()

    response = await service.client.post(
        "/upload/image",
        data=trickle(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert response.status == 408
    monkeypatch.undo()
    assert (await service.upload(encoded()))[0] == 200
