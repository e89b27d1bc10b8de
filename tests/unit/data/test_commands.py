"""``ddcolor-obs data`` against an Elasticsearch that is only a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ddcolor_operations.cli import cli
from ddcolor_operations.elastic.resources import load
from tests.support.elastic_memory import Memory, running_memory

FOLDER = Path(__file__).parents[3] / "collector" / "elasticsearch"
STREAM = "logs-ddcolor.otel-default"


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Run an Elasticsearch with lifecycle management in which nothing is old."""
    with running_memory() as server:
        server.missing.clear()
        server.answers["/elastalert-ddcolor*/_count"] = {"count": 0}
        server.answers["/elastalert-ddcolor*/_delete_by_query"] = {"deleted": 0}
        yield server


def run(memory: Memory, *arguments: str) -> Result:
    """Run a command of ``data`` on the memory."""
    return CliRunner().invoke(cli, ["data", *arguments, "--url", memory.url])


def add_stream(memory: Memory, *, ages_days: list[float], lifecycle: str) -> None:
    """Give the memory a data stream of today's templates whose indices were made so long ago."""
    templates = load(FOLDER, lifecycle_management=True).templates
    (digest,) = [each.digest for each in templates if STREAM.startswith(each.prefix)]
    created = [datetime.now(UTC) - timedelta(days=age) for age in ages_days]
    memory.add_stream(STREAM, created, lifecycle=lifecycle, made_of=digest)


def set_letters(memory: Memory, *, refused: int, recorded: int) -> None:
    """Have the memory count refused documents and their records."""
    failures = "logs-ddcolor.*::failures,traces-ddcolor.*::failures,metrics-ddcolor.*::failures"
    memory.answers[f"/{failures}/_count"] = {"count": refused}
    memory.answers["/logs-ddcolor.dead_letter-default/_count"] = {"count": recorded}


def test_check_of_an_empty_server_says_what_to_do(memory: Memory) -> None:
    """What is missing is named, with the command that helps; the exit code is 1."""
    set_letters(memory, refused=0, recorded=0)
    result = run(memory, "check")
    assert result.exit_code == 1
    assert (
        "/_index_template/logs-ddcolor.otel: it is not installed. Run: ddcolor-obs data setup."
        in result.output
    )
    assert memory.sent("PUT") == []


def test_check_after_a_setup_finds_nothing(memory: Memory) -> None:
    """After `setup`, `check` ends with 0 and looks at every file's resource."""
    set_letters(memory, refused=0, recorded=0)
    assert run(memory, "setup").exit_code == 0
    add_stream(memory, ages_days=[31, 30, 0], lifecycle="ddcolor-30-days")
    result = run(memory, "check", "--json")
    assert result.exit_code == 0, result.output
    looked_at = {finding["what"] for finding in json.loads(result.output)}
    for file in FOLDER.glob("*/*.json"):
        assert any(what.endswith(f"/{file.stem}") for what in looked_at), file.name


@pytest.mark.parametrize(
    ("ages_days", "lifecycle", "said"),
    [
        ([60, 40, 0], "ddcolor-30-days", f"older than 30 days: .ds-{STREAM}-000001"),
        ([1], "somebody-elses", "has the lifecycle somebody-elses, not ddcolor-30-days"),
    ],
)
def test_check_finds_data_that_would_be_kept_too_long(
    memory: Memory, ages_days: list[float], lifecycle: str, said: str
) -> None:
    """An index that should be gone, or that nothing will ever delete, is a problem."""
    set_letters(memory, refused=0, recorded=0)
    assert run(memory, "setup").exit_code == 0
    add_stream(memory, ages_days=ages_days, lifecycle=lifecycle)
    result = run(memory, "check")
    assert result.exit_code == 1
    assert said in result.output


def test_check_finds_refused_documents_that_are_kept_too_long(memory: Memory) -> None:
    """The failure store has a time of its own, however long its data stream is kept."""
    set_letters(memory, refused=0, recorded=0)
    assert run(memory, "setup").exit_code == 0
    times = [datetime.now(UTC) - timedelta(days=age) for age in (60, 40, 0)]
    memory.add_stream("metrics-ddcolor.otel-default", times[2:], failures=times)
    result = run(memory, "check")
    assert (
        "::failures: older than 30 days: .fs-metrics-ddcolor.otel-default-000001" in result.output
    )


def test_check_finds_refused_documents_without_a_record(memory: Memory) -> None:
    """If nobody collects refused documents, no rule hears of them: that is a problem."""
    assert run(memory, "setup").exit_code == 0
    set_letters(memory, refused=3, recorded=2)
    result = run(memory, "check")
    assert result.exit_code == 1
    assert "of 3 refused documents of the last day 2 have a record" in result.output
    assert "See that `ddcolor-obs data keep` runs" in result.output
    set_letters(memory, refused=3, recorded=3)
    assert run(memory, "check").exit_code == 0


def test_setup_says_what_it_did_and_that_it_did_nothing(memory: Memory) -> None:
    """The first run names what it installed, the second that all was in place."""
    first, second = run(memory, "setup"), run(memory, "setup", "--json")
    assert "Installed: ddcolor-14-days" in first.output
    assert json.loads(second.output) == {
        "changed": [],
        "rolled_over": [],
        "switched_on": [],
        "lifecycle_management": True,
    }


def test_setup_tells_that_nothing_deletes_by_itself(memory: Memory) -> None:
    """On a trimmed build the operator hears what has to run."""
    memory.missing.add("/_ilm/status")
    assert "`ddcolor-obs data keep` has to run" in run(memory, "setup").output


def test_retention_without_anything_old_says_so(memory: Memory) -> None:
    """Nothing to do is said for people and an empty list for scripts."""
    assert run(memory, "retention").output == "Nothing is too old.\n"
    assert json.loads(run(memory, "retention", "--dry-run", "--json").output) == []


def test_address_that_is_none_is_wrong_usage() -> None:
    """It is named, with the form that it should have."""
    result = CliRunner().invoke(cli, ["data", "check", "--url", "localhost"])
    assert result.exit_code == 2
    assert "--url localhost: URL must include a 'scheme', 'host', and 'port'" in result.stderr


def test_refusal_is_a_plain_message(memory: Memory) -> None:
    """A right that is missing ends the command with Elasticsearch's reason, not a traceback."""
    memory.refusal = {"reason": "action is unauthorized"}
    result = run(memory, "setup")
    assert result.exit_code == 1
    assert result.output.startswith("Error: Elasticsearch refuses PUT /_ilm/policy/ddcolor-14-days")
    assert "action is unauthorized" in result.output
