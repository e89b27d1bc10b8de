"""Prompts over HTTP: from upload to picture, and everything that stops one on its way."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from comfyui_telemetry import semconv
from tests.support.service import Harness, encoded, eventually, picture, workflow


async def test_upload_prompt_picture(with_photo: Harness) -> None:
    """A photo that is uploaded and prompted comes back restored, at its own size."""
    entry = await with_photo.run(workflow())
    assert entry["status"]["status_str"] == "success"
    assert entry["status"]["completed"] is True
    image = entry["outputs"]["3"]["images"][0]
    assert image == {"filename": "DDColor_00001_.png", "subfolder": "", "type": "output"}
    response = await with_photo.client.get("/view", params=image)
    assert response.status == 200
    assert response.content_type == "image/png"
    restored = np.asarray(Image.open(io.BytesIO(await response.read())))
    assert restored.shape == (48, 64, 3)
    assert restored[..., 2].mean() < restored[..., 0].mean()


async def test_answer_of_post_prompt(with_photo: Harness) -> None:
    """POST /prompt answers id, number and node errors, and counts numbers up."""
    status, first = await with_photo.post("/prompt", {"prompt": workflow()})
    _, second = await with_photo.post("/prompt", {"prompt": workflow()})
    assert status == 200
    assert set(first) == {"prompt_id", "number", "node_errors"}
    assert (first["number"], second["number"], first["node_errors"]) == (0, 1, {})


async def test_everything_works_below_api(with_photo: Harness) -> None:
    """Each route of ComfyUI is there below /api too."""
    status, answer = await with_photo.post("/api/prompt", {"prompt": workflow()})
    assert status == 200
    await with_photo.finished(answer["prompt_id"])
    for path in ("prompt", "queue", "history", "system_stats", "object_info", "models"):
        status, answer = await with_photo.get(f"/api/{path}")
        assert status == 200, path
        assert answer, path


async def test_history_shape(with_photo: Harness) -> None:
    """A finished prompt has ComfyUI's fields, messages with times, and its own five-tuple."""
    prompt_id = await with_photo.queue(workflow(), client_id="me", extra_data={"a": 1})
    entry = await with_photo.finished(prompt_id)
    assert set(entry) == {"prompt", "outputs", "status", "meta"}
    number, same_id, prompt, extra_data, outputs = entry["prompt"]
    assert (number, same_id, outputs) == (0, prompt_id, ["3"])
    assert prompt["2"]["inputs"]["model_input_size"] == 512
    assert (extra_data["a"], extra_data["client_id"]) == (1, "me")
    events = [event for event, _ in entry["status"]["messages"]]
    assert events == ["execution_start", "execution_cached", "execution_success"]
    assert all(data["timestamp"] > 1.6e12 for _, data in entry["status"]["messages"])


async def test_unknown_history_is_empty(service: Harness) -> None:
    """An unknown prompt is an empty object, not an error."""
    assert await service.get("/history/nobody") == (200, {})


async def test_history_can_be_limited_and_forgotten(with_photo: Harness) -> None:
    """The history shows the latest entries, and forgets one or all."""
    ids = [await with_photo.queue(workflow()) for _ in range(3)]
    await with_photo.finished(ids[-1])
    _, latest = await with_photo.get("/history", params={"max_items": "2"})
    assert list(latest) == ids[1:]
    _, from_start = await with_photo.get("/history", params={"max_items": "1", "offset": "0"})
    assert list(from_start) == ids[:1]
    await with_photo.post("/history", {"delete": [ids[0]]})
    assert list((await with_photo.get("/history"))[1]) == ids[1:]
    await with_photo.post("/history", {"clear": True})
    assert (await with_photo.get("/history"))[1] == {}


async def test_unchanged_prompt_is_cached(with_photo: Harness) -> None:
    """A prompt that ran before runs no node again and shows the same picture."""
    first = await with_photo.run(workflow())
    second = await with_photo.run(workflow())
    cached = dict(second["status"]["messages"])["execution_cached"]["nodes"]
    assert sorted(cached) == ["1", "2", "3"]
    assert second["outputs"]["3"] == first["outputs"]["3"]
    assert len(with_photo.models.model.sizes) == 1
    records = await with_photo.record("comfyui.node.finished", 6)
    outcomes = [record["comfyui.node.outcome"] for record in records]
    assert outcomes == ["executed"] * 3 + ["cached"] * 3


async def test_only_what_changed_runs_again(with_photo: Harness) -> None:
    """Another prefix runs SaveImage alone; other bytes under the same name run everything."""
    await with_photo.run(workflow())
    prompt = workflow()
    prompt["3"]["inputs"]["filename_prefix"] = "again"
    entry = await with_photo.run(prompt)
    assert sorted(dict(entry["status"]["messages"])["execution_cached"]["nodes"]) == ["1", "2"]
    await with_photo.upload(encoded(picture(seed=7)), "photo.png", overwrite="true")
    entry = await with_photo.run(prompt)
    assert dict(entry["status"]["messages"])["execution_cached"]["nodes"] == []


async def test_a_cached_picture_that_was_deleted_is_made_again(with_photo: Harness) -> None:
    """The cache never shows a file that is gone."""
    entry = await with_photo.run(workflow())
    name = entry["outputs"]["3"]["images"][0]["filename"]
    (with_photo.service.folders.base("output") / name).unlink()
    again = await with_photo.run(workflow())
    made = again["outputs"]["3"]["images"][0]["filename"]
    assert (with_photo.service.folders.base("output") / made).is_file()


async def test_the_same_node_twice_runs_once(with_photo: Harness) -> None:
    """Two nodes of one prompt that do the same work share it."""
    prompt = workflow()
    prompt["4"] = {**prompt["2"], "inputs": dict(prompt["2"]["inputs"])}
    prompt["5"] = {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}}
    entry = await with_photo.run(prompt)
    assert set(entry["outputs"]) == {"3", "5"}
    assert len(with_photo.models.model.sizes) == 1


async def test_interrupt_stops_the_running_prompt(with_photo: Harness) -> None:
    """An interrupt ends the prompt at once, is no error in the log, and the next prompt runs."""
    await with_photo.arm("slow_inference", seconds=60)
    prompt_id = await with_photo.queue(workflow())
    await with_photo.running(prompt_id)
    assert (await with_photo.post("/interrupt", {"prompt_id": "another"}))[0] == 200
    assert (await with_photo.get(f"/history/{prompt_id}"))[1] == {}
    response = await with_photo.client.post("/interrupt")
    assert (response.status, await response.read()) == (200, b"")
    entry = await with_photo.finished(prompt_id)
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"
    (record,) = await with_photo.record("comfyui.prompt.finished")
    assert record["comfyui.prompt.outcome"] == "interrupted"
    assert record["log.level"] == "info"
    assert (await with_photo.run(workflow()))["status"]["status_str"] == "success"


async def test_nodes_whose_turn_never_came_are_skipped(with_photo: Harness) -> None:
    """After a failed node each one behind it is told as skipped, by a record and a span."""
    await with_photo.arm("execution_error")
    entry = await with_photo.run(workflow())
    assert entry["status"]["status_str"] == "error"
    records = await with_photo.record("comfyui.node.finished", 3)
    assert {r["comfyui.node.id"]: r["comfyui.node.outcome"] for r in records} == {
        "1": "executed",
        "2": "failed",
        "3": "skipped",
    }
    skipped = with_photo.span("node SaveImage")
    assert skipped.attributes is not None
    assert skipped.attributes["comfyui.node.outcome"] == "skipped"


async def test_order_of_the_queue(with_photo: Harness) -> None:
    """Smaller numbers run first, front before all, equal ones as they came."""
    await with_photo.arm("slow_inference", seconds=60)
    blocker = await with_photo.queue(workflow())
    await with_photo.running(blocker)
    places: dict[str, dict[str, Any]] = {
        "second": {"number": 5},
        "third": {"number": 5},
        "last": {"number": 7.5},
        "first": {"front": True},
    }
    wanted = {
        name: await with_photo.queue(workflow(size=480), **body) for name, body in places.items()
    }
    _, queue = await with_photo.get("/queue")
    assert [row[1] for row in queue["queue_running"]] == [blocker]
    order = [row[1] for row in queue["queue_pending"]]
    assert order == [wanted[name] for name in ("first", "second", "third", "last")]
    assert (await with_photo.get("/prompt"))[1] == {"exec_info": {"queue_remaining": 5}}
    await with_photo.post("/interrupt", {})
    for prompt_id in order:
        await with_photo.finished(prompt_id)
    _, history = await with_photo.get("/history")
    assert list(history) == [blocker, *order]


async def test_waiting_prompts_can_be_removed(with_photo: Harness) -> None:
    """POST /queue deletes one waiting prompt or clears them all; the running one goes on."""
    await with_photo.arm("slow_inference", seconds=60)
    blocker = await with_photo.queue(workflow())
    await with_photo.running(blocker)
    ids = [await with_photo.queue(workflow()) for _ in range(3)]
    await with_photo.post("/queue", {"delete": [ids[1]]})
    _, queue = await with_photo.get("/queue")
    assert [row[1] for row in queue["queue_pending"]] == [ids[0], ids[2]]
    await with_photo.post("/queue", {"clear": True})
    _, queue = await with_photo.get("/queue")
    assert queue["queue_pending"] == []
    assert [row[1] for row in queue["queue_running"]] == [blocker]
    removed = with_photo.records(semconv.EVENT_PROMPT_REMOVED)
    assert [record[semconv.PROMPT_ID] for record in removed] == [ids[1], ids[0], ids[2]]


async def test_the_recorder_knows_how_many_wait(
    with_photo: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder is told when prompts leave the queue unrun, so that its depth is the queue's."""
    depths: list[int] = []
    monkeypatch.setattr(with_photo.service.telemetry.recorder, "queue_depth", depths.append)
    await with_photo.arm("slow_inference", seconds=60)
    await with_photo.running(await with_photo.queue(workflow()))
    ids = [await with_photo.queue(workflow()) for _ in range(3)]
    assert depths[-1] == 3
    await with_photo.post("/queue", {"delete": [ids[1], "nobody"]})
    assert depths[-1] == 2
    await with_photo.post("/queue", {"clear": True})
    assert depths[-1] == 0
    await with_photo.post("/interrupt", {})


async def test_a_full_queue_refuses(with_photo: Harness) -> None:
    """More prompts than may wait are answered 429, with the time to wait."""
    with_photo.service.queue._max_waiting = 1
    await with_photo.arm("slow_inference", seconds=60)
    await with_photo.running(await with_photo.queue(workflow()))
    await with_photo.queue(workflow())
    response = await with_photo.client.post("/prompt", json={"prompt": workflow()})
    assert response.status == 429
    assert response.headers["Retry-After"] == "5"


async def test_an_id_is_used_once(with_photo: Harness) -> None:
    """A client may name the prompt, but not like one that is known."""
    await with_photo.run(workflow(), prompt_id="mine-1")
    status, answer = await with_photo.post("/prompt", {"prompt": workflow(), "prompt_id": "mine-1"})
    assert status == 400
    assert answer["error"]["extra_info"]["kind"] == "invalid_request"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"prompt": 3}',
        b'{"prompt": {}}',
        b'{"prompt": {"1": 5}}',
        b'{"prompt": {"1": {"class_type": "Nobody"}}}',
        b'{"prompt": {"1": {"inputs": {}}}}',
        b'{"prompt": {"1": {"class_type": "LoadImage", "inputs": 3}}}',
        b'{"prompt": {"1": {"class_type": "ImageInvert"}}}',
        b'{"prompt": {"1": {"class_type": "PreviewImage"}}, "number": "x"}',
        b'{"prompt": {"1": {"class_type": "PreviewImage"}}, "client_id": 5}',
        b'{"prompt": {"1": {"class_type": "PreviewImage"}}, "extra_data": []}',
        b'{"prompt": {"1": {"class_type": "PreviewImage"}}, "prompt_id": "../x"}',
        b'{"nodes": [{"id": 1, "type": "Nobody"}], "links": []}',
    ],
)
async def test_refused_prompts(service: Harness, body: bytes) -> None:
    """A prompt that makes no sense is a 400 in ComfyUI's shape with a kind, and is logged once."""
    response = await service.client.post(
        "/prompt", data=body, headers={"Content-Type": "application/json"}
    )
    answer = await response.json()
    assert response.status == 400
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
    assert answer["error"]["extra_info"]["kind"] == "invalid_request"
    assert len(await service.record("comfyui.prompt.rejected")) == 1


async def test_one_bad_output_leaves_the_good_one(with_photo: Harness) -> None:
    """A prompt with one good and one bad output runs the good one and names the bad one."""
    prompt: dict[str, Any] = workflow()
    prompt["8"] = {"class_type": "LoadImage", "inputs": {"image": "nosuch.png"}}
    prompt["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    status, answer = await with_photo.post("/prompt", {"prompt": prompt})
    assert status == 200
    assert answer["node_errors"]["8"]["dependent_outputs"] == ["9"]
    entry = await with_photo.finished(answer["prompt_id"])
    assert set(entry["outputs"]) == {"3"}


async def test_free_unloads_the_models(with_photo: Harness) -> None:
    """POST /free drops models and cached outputs between prompts."""
    await with_photo.run(workflow())
    response = await with_photo.client.post(
        "/free", json={"unload_models": True, "free_memory": True}
    )
    assert (response.status, await response.read()) == (200, b"")
    await eventually(lambda: with_photo.models.unloads == 1)
    entry = await with_photo.run(workflow())
    assert dict(entry["status"]["messages"])["execution_cached"]["nodes"] == []


async def test_one_trace_from_the_caller_to_each_node(with_photo: Harness) -> None:
    """The caller's traceparent leads through POST /prompt and the prompt to every node."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"TraceParent": f"00-{trace}-b7ad6b7169203331-01"}
    response = await with_photo.client.post(
        "/prompt",
        json={
            "prompt": workflow(),
            "extra_data": {"workflow_name": "DDColor人物黑白修复", "scenario": "person"},
        },
        headers=headers,
    )
    assert response.headers["X-Trace-Id"] == trace
    await with_photo.finished((await response.json())["prompt_id"])
    await eventually(lambda: any(s.name == "prompt" for s in with_photo.spans.get_finished_spans()))
    server, prompt = with_photo.span("POST /prompt"), with_photo.span("prompt")
    nodes = [
        with_photo.span(f"node {name}") for name in ("LoadImage", "DDColor_Colorize", "SaveImage")
    ]
    assert server.parent is not None
    assert prompt.parent is not None
    assert server.context is not None
    assert prompt.context is not None
    assert format(server.parent.span_id, "016x") == "b7ad6b7169203331"
    assert prompt.parent.span_id == server.context.span_id
    for node in nodes:
        assert node.parent is not None
        assert node.parent.span_id == prompt.context.span_id
    assert {format(s.context.trace_id, "032x") for s in [server, prompt, *nodes] if s.context} == {
        trace
    }
    assert prompt.attributes is not None
    assert prompt.attributes["ddcolor.scenario"] == "person"
    assert prompt.attributes["comfyui.workflow.name"] == "DDColor人物黑白修复"
    load = with_photo.span("load model")
    assert load.parent is not None
    assert nodes[1].context is not None
    assert load.parent.span_id == nodes[1].context.span_id
    records = await with_photo.record("comfyui.prompt.finished")
    assert records[0]["trace_id"] == trace
