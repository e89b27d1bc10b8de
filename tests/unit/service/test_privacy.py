"""Nothing of a user or of the machine in logs, spans and answers."""

from __future__ import annotations

from pathlib import Path

import orjson

from tests.support.service import ADMIN_TOKEN, Harness, encoded, workflow

NAME = "grandma-in-hangzhou-1952.png"

_CHECKOUT = str(Path(__file__).parents[3])


async def test_no_names_paths_addresses_tokens(service: Harness, tmp_path: Path) -> None:
    """After good, bad and failing work the logs and spans hold no name, path, address or token."""
    await service.upload(encoded(), NAME)
    await service.upload(b"broken", NAME)
    await service.run(workflow(NAME), client_id="client-of-somebody")
    for fault in ("execution_error", "missing_checkpoint", "out_of_memory"):
        await service.arm(fault)
        await service.run(workflow(NAME, size=640))
    await service.post("/prompt", {"prompt": workflow("not-" + NAME)})
    await service.client.get("/view", params={"filename": "no-" + NAME})
    await service.client.get("/admin/faults", headers={"Authorization": "Bearer wrong-token-here"})
    await service.record("comfyui.prompt.finished", 4)
    spans = [
        orjson.dumps(
            [span.name, dict(span.attributes or {}), span.status.description], default=str
        ).decode()
        for span in service.spans.get_finished_spans()
    ]
    text = service.log_file.read_text() + "".join(spans)
    for private in ("grandma", str(tmp_path), "127.0.0.1", ADMIN_TOKEN, "wrong-token", _CHECKOUT):
        assert private not in text, private


async def test_answers_hold_no_paths(service: Harness, tmp_path: Path) -> None:
    """No answer, not even of a failure, tells where things lie on this machine."""
    await service.upload(encoded(), NAME)
    await service.arm("execution_error")
    await service.run(workflow(NAME))
    for path in ("/history", "/queue", "/system_stats", "/object_info", "/readyz"):
        text = await (await service.client.get(path)).text()
        assert str(tmp_path) not in text, path
        assert "site-packages" not in text, path
        assert NAME not in text or path == "/history", path
