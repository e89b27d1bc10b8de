"""Whatever strangers send: an answer with a kind, never a 500, and the next good photo works."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comfyui_telemetry.catalogue import CATALOGUE
from tests.support.service import Harness, encoded, running_service, workflow

SETTINGS = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["1", "2", "3", "LoadImage", "SaveImage", "photo.png", "../photo.png"]),
)
LINKS = st.tuples(st.sampled_from(["1", "2", "3", "4"]), st.integers(-1, 2)).map(list)
VALUES = st.recursive(
    st.one_of(LEAVES, LINKS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["image", "images", "model_input_size", "checkpoint", "filename_prefix", "scale_by", "x"]
)
CLASSES = st.sampled_from(
    ["LoadImage", "DDColor_Colorize", "SaveImage", "PreviewImage", "ImageScaleBy", "Nobody"]
)
NODES = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"class_type": st.one_of(CLASSES, VALUES), "inputs": st.dictionaries(NAMES, VALUES)}
    ),
)
PROMPTS = st.dictionaries(st.sampled_from(["1", "2", "3", "4"]), NODES, max_size=4)
UI_SLOTS = st.lists(
    st.fixed_dictionaries({}, optional={"name": NAMES, "type": VALUES, "link": st.integers(1, 4)}),
    max_size=2,
)
UI_NODES = st.fixed_dictionaries(
    {"id": st.integers(1, 4), "type": st.one_of(CLASSES, st.sampled_from(["Reroute", "Note"]))},
    optional={
        "mode": st.sampled_from([0, 2, 4, "x"]),
        "inputs": st.one_of(UI_SLOTS, VALUES),
        "outputs": st.one_of(UI_SLOTS, VALUES),
        "widgets_values": VALUES,
    },
)
UI_LINKS = st.one_of(
    st.tuples(*[st.integers(0, 4)] * 5, st.just("IMAGE")).map(list),
    st.fixed_dictionaries({"id": VALUES, "origin_id": VALUES, "origin_slot": VALUES}),
)
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {"prompt": st.one_of(PROMPTS, VALUES)},
        optional={
            "client_id": VALUES,
            "extra_data": VALUES,
            "number": VALUES,
            "front": VALUES,
            "prompt_id": VALUES,
        },
    ),
    st.fixed_dictionaries(
        {
            "nodes": st.lists(st.one_of(UI_NODES, VALUES), max_size=4),
            "links": st.one_of(st.lists(UI_LINKS, max_size=4), VALUES),
        }
    ),
)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return the loop on which this module's one service lives."""
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.fixture(scope="module")
def shared(loop: asyncio.AbstractEventLoop) -> Iterator[Harness]:
    """Return one service for all examples: what one of them breaks, the next ones show."""
    with tempfile.TemporaryDirectory() as folder:
        context = running_service(Path(folder))
        harness = loop.run_until_complete(context.__aenter__())
        loop.run_until_complete(harness.upload(encoded(), "photo.png"))
        yield harness
        loop.run_until_complete(context.__aexit__(None, None, None))


def refused_or_taken(status: int, body: bytes) -> None:
    """Check that an answer is a success, or a 4xx of a kind in the catalogue."""
    assert status == 200 or 400 <= status < 500, (status, body)
    if status != 200:
        assert orjson.loads(body)["error"]["extra_info"]["kind"] in CATALOGUE


async def send(harness: Harness, path: str, data: bytes, content_type: str) -> tuple[int, bytes]:
    response = await harness.client.post(path, data=data, headers={"Content-Type": content_type})
    return response.status, await response.read()


async def drained(harness: Harness) -> None:
    """Empty the queue, so that no example waits for another one's prompts."""
    await harness.post("/queue", {"clear": True})


@SETTINGS
@given(body=BODIES)
def test_prompts(loop: asyncio.AbstractEventLoop, shared: Harness, body: Any) -> None:
    """A malformed prompt is refused with a kind, whatever is wrong with it."""
    data = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    refused_or_taken(*loop.run_until_complete(send(shared, "/prompt", data, "application/json")))
    loop.run_until_complete(drained(shared))


@SETTINGS
@given(
    form=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]),
    cut=st.floats(0, 1),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    extra=st.binary(max_size=30),
)
def test_uploads(
    loop: asyncio.AbstractEventLoop,
    shared: Harness,
    form: str,
    cut: float,
    flips: list[tuple[int, int]],
    extra: bytes,
) -> None:
    """A damaged photo is taken or refused with a kind, whatever its damage."""
    data = bytearray(encoded(form=form))
    data = data[: int(len(data) * cut)] + extra
    for at, value in flips:
        if data:
            data[at % len(data)] = value

    async def upload() -> tuple[int, bytes]:
        status, answer = await shared.upload(bytes(data), "fuzz.bin", overwrite="true")
        return status, orjson.dumps(answer)

    refused_or_taken(*loop.run_until_complete(upload()))


@SETTINGS
@given(data=st.binary(max_size=300), quoted=st.booleans())
def test_forms(loop: asyncio.AbstractEventLoop, shared: Harness, data: bytes, quoted: bool) -> None:
    """A malformed form is refused with a kind."""
    body = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + data
    body = body if quoted else b"--b\r\n" + data
    content_type = "multipart/form-data; boundary=b"
    refused_or_taken(*loop.run_until_complete(send(shared, "/upload/image", body, content_type)))


def test_the_next_good_photo_works(loop: asyncio.AbstractEventLoop, shared: Harness) -> None:
    """After all of that a good photo is restored, and nothing failed inside the service."""
    entry = loop.run_until_complete(shared.run(workflow()))
    assert entry["status"]["status_str"] == "success"
    assert shared.records("comfyui.request.failed") == []
