"""The import: only a full success is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from ddcolor_operations.cli import cli
from ddcolor_operations.dashboards.importer import ImportFailedError, Kibana, import_objects
from ddcolor_operations.dashboards.saved_objects import BUILT
from tests.support.elastic import free_ports
from tests.support.scripted_http import ScriptedServer, scripted_server

FILE = b'{"id":"a"}\n{"id":"b"}\n'


ROUTE = "POST /api/saved_objects/_import"


@pytest.fixture
def kibana() -> Iterator[ScriptedServer]:
    """Yield a Kibana that takes both objects, until told otherwise."""
    with scripted_server() as server:
        server.script(ROUTE, (200, {"success": True, "successCount": 2}))
        yield server


def test_the_file_is_sent_whole(kibana: ScriptedServer) -> None:
    """The request has the file, the key and the header that Kibana wants, and replaces."""
    assert import_objects(Kibana(kibana.url, api_key="abc"), FILE) == 2
    (asked,) = kibana.asked
    assert asked.path == "/api/saved_objects/_import?overwrite=true"
    assert asked.headers["kbn-xsrf"]
    assert asked.headers["Authorization"] == "ApiKey abc"
    assert FILE in asked.body


def test_a_key_that_cannot_be_sent_is_not_quoted(kibana: ScriptedServer) -> None:
    """A key file with a second line is refused before it is sent, without its content."""
    with pytest.raises(ImportFailedError, match="one line") as caught:
        import_objects(Kibana(kibana.url, api_key="canary\nsecond"), FILE)
    assert "canary" not in str(caught.value)
    assert kibana.asked == []


def test_a_space_is_part_of_the_address(kibana: ScriptedServer) -> None:
    """What is imported into a space is sent below it."""
    kibana.script(
        "POST /s/ops/api/saved_objects/_import", (200, {"success": True, "successCount": 2})
    )
    assert import_objects(Kibana(f"{kibana.url}/s/ops/"), FILE) == 2


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, {"success": True, "successCount": 1}, "took 1 of 2 objects"),
        (
            200,
            {
                "success": False,
                "successCount": 1,
                "errors": [
                    {
                        "type": "dashboard",
                        "id": "b",
                        "error": {"type": "missing_references", "references": [{"id": "gone"}]},
                    }
                ],
            },
            r"took 1 of 2 objects: dashboard b: missing_references \(gone\)",
        ),
        (200, "nonsense", "took 0 of 2"),
        (401, {"message": "who are you"}, "answers 401: who are you. Check the API key"),
        (422, {"message": "too new"}, "older than 8.12"),
        (500, {"message": "broken"}, "answers 500: broken"),
    ],
)
def test_less_than_a_full_success_is_a_failure(
    kibana: ScriptedServer, status: int, answer: Any, said: str
) -> None:
    """Kibana answers 200 also when it refused objects; only their number tells."""
    kibana.script(ROUTE, (status, answer))
    with pytest.raises(ImportFailedError, match=said):
        import_objects(Kibana(kibana.url), FILE)


def test_a_kibana_that_is_not_there_is_said() -> None:
    """The message names the address."""
    (port,) = free_ports(1)
    with pytest.raises(ImportFailedError, match=f"cannot be reached at http://127.0.0.1:{port}"):
        import_objects(Kibana(f"http://127.0.0.1:{port}"), FILE)


def test_the_command_imports_the_built_file(kibana: ScriptedServer) -> None:
    """A refusal ends the command with 1 and says how many objects were taken."""
    result = CliRunner().invoke(cli, ["dashboards", "import", "--kibana", kibana.url])
    assert result.exit_code == 1
    assert f"took 2 of {len(BUILT.read_bytes().splitlines())} objects" in result.output


def test_the_offline_check_of_the_command_passes() -> None:
    """What is kept in the project passes its own check."""
    result = CliRunner().invoke(cli, ["dashboards", "check"])
    assert result.exit_code == 0, result.output
    assert result.output.endswith("objects, 0 problems\n")


def test_a_time_that_is_none_is_refused() -> None:
    """The command says how a time has to look."""
    arguments = ["dashboards", "check", "--elasticsearch", "http://127.0.0.1:1", "--since", "soon"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "like 30m, 24h or 7d" in result.output


def test_what_is_no_address_of_an_elasticsearch_is_wrong_usage() -> None:
    """The option is named, and what is missing of the address."""
    result = CliRunner().invoke(cli, ["dashboards", "check", "--elasticsearch", "localhost"])
    assert result.exit_code == 2
    assert "--elasticsearch localhost" in result.output
