"""Bringing dashboards into Kibana."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ddcolor_operations.compose.cli import compose
from ddcolor_operations.compose.kibana import KibanaError, import_dashboards, wait_available
from tests.support.scripted_http import ScriptedServer, scripted_server

IMPORT = "POST /api/saved_objects/_import"
STATUS = "GET /api/status"
AVAILABLE = {"status": {"overall": {"level": "available"}}}


@pytest.fixture
def kibana() -> Iterator[ScriptedServer]:
    """Stand in for Kibana."""
    with scripted_server() as server:
        server.script(STATUS, (200, AVAILABLE))
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with one file of two objects, ended by an export's own count."""
    lines: list[dict[str, Any]] = [{"id": "a"}, {"id": "b"}, {"exportedCount": 2}]
    (tmp_path / "ddcolor.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_file_is_imported_whole(kibana: ScriptedServer, folder: Path) -> None:
    """The file goes over what is there, with the key and the header that Kibana demands."""
    kibana.script(IMPORT, (200, {"success": True, "successCount": 2}))
    assert import_dashboards(kibana.url, folder, "KEY") == {"ddcolor.ndjson": 2}
    (asked,) = kibana.asked
    assert asked.path.endswith("?overwrite=true")
    assert asked.headers["Authorization"] == "ApiKey KEY"
    assert asked.headers["kbn-xsrf"]
    assert b'{"id": "b"}' in asked.body


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, {"success": True, "successCount": 1}, "took 1 of 2 objects: it gives no reason"),
        (
            200,
            {
                "success": False,
                "successCount": 1,
                "errors": [
                    {"type": "lens", "id": "b", "error": {"type": "missing_references"}},
                ],
            },
            "took 1 of 2 objects: lens b: missing_references",
        ),
        (
            200,
            {
                "success": False,
                "errors": [
                    {"type": "lens", "id": str(n), "error": {"message": "no"}} for n in range(7)
                ],
            },
            "took 0 of 2 objects: .*lens 4: no; and 2 more",
        ),
        (422, {"message": "newer version"}, "answered 422: newer version"),
        (403, {}, "answered 403"),
        (200, b"<html>", "did not answer the import"),
        (200, [], "took 0 of 2"),
    ],
)
def test_anything_but_full_success_is_an_error(
    kibana: ScriptedServer, folder: Path, status: int, body: Any, said: str
) -> None:
    """A part, a refusal and an answer that is not Kibana's end with the reason."""
    kibana.script(IMPORT, (status, body))
    with pytest.raises(KibanaError, match=f"ddcolor.ndjson: .*{said}"):
        import_dashboards(kibana.url, folder, "KEY")


def test_waits_until_kibana_is_available(
    kibana: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Kibana that starts answers 503, then with a level that is not yet enough."""
    monkeypatch.setattr("ddcolor_operations.compose.kibana._PAUSE_S", 0.0)
    starting = {"status": {"overall": {"level": "unavailable"}}}
    kibana.script(STATUS, (503, b"not ready"), (200, starting), (200, b"{}"), (200, AVAILABLE))
    wait_available(kibana.url, 30)
    assert len(kibana.asked) == 4


def test_gives_up_with_the_last_answer(
    kibana: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is up, the error says what Kibana answered last."""
    monkeypatch.setattr("ddcolor_operations.compose.kibana._PAUSE_S", 0.0)
    kibana.script(STATUS, (503, b"not ready"))
    with pytest.raises(KibanaError, match=r"not available after 0 s \(HTTP 503\)"):
        wait_available(kibana.url, 0)


def run(kibana: ScriptedServer, home: Path) -> Any:
    """Run the one-shot service's command for the checkout at ``home``."""
    key = home / "api_key"
    key.write_text("KEY\n")
    return CliRunner().invoke(
        compose,
        ["dashboards"],
        env={
            "KIBANA_URL": kibana.url,
            "KIBANA_API_KEY_FILE": str(key),
            "DDCOLOR_OBS_HOME": str(home),
        },
    )


def test_command_succeeds_without_dashboards(kibana: ScriptedServer, tmp_path: Path) -> None:
    """A checkout that has none yet starts all the same."""
    result = run(kibana, tmp_path)
    assert (result.exit_code, kibana.asked) == (0, [])
    assert "no dashboards" in result.output


@pytest.mark.parametrize(("count", "status"), [(2, 0), (1, 1)])
def test_command_s_status_follows_the_import(
    kibana: ScriptedServer, folder: Path, count: int, status: int
) -> None:
    """The container ends with 0 only after a full import."""
    (folder / "dashboards").mkdir()
    (folder / "ddcolor.ndjson").rename(folder / "dashboards" / "ddcolor.ndjson")
    kibana.script(IMPORT, (200, {"success": True, "successCount": count}))
    result = run(kibana, folder)
    assert result.exit_code == status
    assert ("2 objects imported" in result.output) == (status == 0)
