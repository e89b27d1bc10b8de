"""Installing templates and reading spans, against an Elasticsearch that is only a memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ddcolor_operations.elastic import queries
from ddcolor_operations.elastic.client import connect
from ddcolor_operations.elastic.resources import load
from ddcolor_operations.elastic.setup import (
    SetupError,
    install,
    readiness_problem,
    wait_ready,
)
from tests.support.elastic_memory import Memory, running_memory

STREAM = "logs-ddcolor.otel-default"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Run a memory."""
    with running_memory() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make one resource of each kind."""
    phases = {
        "hot": {"actions": {"rollover": {"max_age": "1d"}}},
        "delete": {"min_age": "30d"},
    }
    options = {"failure_store": {"enabled": True}}
    for kind, name, body in (
        ("lifecycle_policies", "kept", {"policy": {"phases": phases}}),
        ("ingest_pipelines", "ddcolor-arrival", {"processors": []}),
        (
            "component_templates",
            "ddcolor-common",
            {"template": {"data_stream_options": options}, "_meta": {"a": 1}},
        ),
        (
            "index_templates",
            "logs-ddcolor.otel",
            {"index_patterns": ["logs-ddcolor.otel-*"], "composed_of": ["ddcolor-common", "kept"]},
        ),
    ):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f"{name}.json").write_text(json.dumps(body))
    return tmp_path


def digest(folder: Path) -> str:
    """Return the hash of the folder's one index template and what it is made of."""
    (template,) = load(folder, lifecycle_management=False).templates
    return template.digest


def test_resources_are_installed_in_order_and_once(memory: Memory, folder: Path) -> None:
    """Pipelines come before templates, components before those that use them; no second put."""
    with connect(memory.url) as client:
        installed = install(client, folder)
        again = install(client, folder)
    assert memory.sent("PUT") == [
        "/_ingest/pipeline/ddcolor-arrival",
        "/_component_template/ddcolor-common",
        "/_component_template/ddcolor-attributes",
        "/_index_template/logs-ddcolor.otel",
    ]
    assert installed.changed == (
        *("ddcolor-arrival", "ddcolor-common", "ddcolor-attributes", "logs-ddcolor.otel"),
    )
    assert installed.lifecycle_management is False
    assert again.changed == ()
    assert memory.stored["/_component_template/ddcolor-common"]["_meta"]["a"] == 1


def test_lifecycles_are_installed_where_the_server_has_them(memory: Memory, folder: Path) -> None:
    """With lifecycle management the policy comes first, with a component that names it."""
    memory.missing.clear()
    with connect(memory.url) as client:
        installed = install(client, folder)
        again = install(client, folder)
    assert memory.sent("PUT")[0] == "/_ilm/policy/kept"
    component = memory.stored["/_component_template/kept"]["template"]
    assert component == {"settings": {"index": {"lifecycle": {"name": "kept"}}}}
    assert installed.lifecycle_management is True
    assert again.changed == ()


def test_changed_file_is_put_again(memory: Memory, folder: Path) -> None:
    """An upgrade replaces what an older version installed."""
    with connect(memory.url) as client:
        install(client, folder)
        (folder / "ingest_pipelines/ddcolor-arrival.json").write_text('{"processors": [{}]}')
        assert install(client, folder).changed == ("ddcolor-arrival",)


def test_changed_component_changes_what_is_made_of_it(memory: Memory, folder: Path) -> None:
    """The index template carries the hash of its parts into the mapping of new indices."""
    with connect(memory.url) as client:
        install(client, folder)
        file = folder / "component_templates/ddcolor-common.json"
        file.write_text(json.dumps({"template": {"settings": {}}}))
        assert install(client, folder).changed == ("ddcolor-common", "logs-ddcolor.otel")
    mappings = memory.stored["/_index_template/logs-ddcolor.otel"]["template"]["mappings"]
    assert mappings["_meta"] == {"ddcolor_templates": digest(folder)}


@pytest.mark.parametrize("made_of", ["earlier", None])
def test_stream_of_earlier_templates_goes_on_in_a_new_index(
    memory: Memory, folder: Path, made_of: str | None
) -> None:
    """Only a new index gets a new mapping: the data stream is rolled over."""
    memory.add_stream(STREAM, [NOW], made_of=made_of)
    with connect(memory.url) as client:
        assert install(client, folder).rolled_over == (STREAM,)
    assert memory.sent("POST")[-1] == f"/{STREAM}/_rollover"


def test_stream_of_todays_templates_is_left_alone(memory: Memory, folder: Path) -> None:
    """A set-up that finds all in place changes nothing."""
    memory.add_stream(STREAM, [NOW], made_of=digest(folder))
    memory.streams["somebody-elses"] = {"indices": [{"index_name": "x"}]}
    with connect(memory.url) as client:
        installed = install(client, folder)
    assert (installed.rolled_over, installed.switched_on) == ((), ())
    assert not [path for path in memory.sent("POST") if "_rollover" in path]


def test_failure_store_of_an_older_stream_is_switched_on(memory: Memory, folder: Path) -> None:
    """The option of a template is for new data streams; one that is there is switched itself."""
    memory.add_stream(STREAM, [NOW], made_of=digest(folder), failure_store=False)
    with connect(memory.url) as client:
        assert install(client, folder).switched_on == (STREAM,)
    assert memory.stored[f"/_data_stream/{STREAM}/_options"] == {"failure_store": {"enabled": True}}


def test_failure_store_is_switched_on_by_setting_where_options_are_missing(
    memory: Memory, folder: Path
) -> None:
    """A build without the resource has the cluster's setting, whose other entries stay."""
    memory.add_stream(STREAM, [NOW], made_of=digest(folder), failure_store=False)
    setting = "data_streams.failure_store.enabled"
    memory.missing.add(f"/_data_stream/{STREAM}/_options")
    memory.answers["/_cluster/settings"] = {"persistent": {setting: ["others-*"]}}
    with connect(memory.url) as client:
        assert install(client, folder).switched_on == (STREAM,)
        put = memory.stored["/_cluster/settings"]["persistent"]
        assert put == {setting: [STREAM, "others-*"]}
        memory.answers["/_cluster/settings"] = {"persistent": put}
        assert install(client, folder).switched_on == ()


def test_foreign_template_that_outranks_ours_is_told(memory: Memory, folder: Path) -> None:
    """A data stream that would get another mapping is an error, not a surprise."""
    memory.answers[f"/_index_template/_simulate_index/{STREAM}"] = {"template": {"mappings": {}}}
    with connect(memory.url) as client, pytest.raises(SetupError, match="higher priority"):
        install(client, folder)


def test_template_names_one_lifecycle(folder: Path) -> None:
    """A template that would be kept for ever is refused before anything is sent."""
    file = folder / "index_templates/logs-ddcolor.otel.json"
    file.write_text(json.dumps({"index_patterns": ["a-*"], "composed_of": ["ddcolor-common"]}))
    with pytest.raises(SetupError, match="names 0 lifecycles"):
        load(folder, lifecycle_management=True)


def test_resource_that_does_not_stay_is_an_error(memory: Memory, folder: Path) -> None:
    """An acknowledged resource that cannot be read back is not taken for installed."""
    memory.forgets = True
    with connect(memory.url) as client, pytest.raises(SetupError, match="is not there"):
        install(client, folder)


def test_refusal_is_told_with_its_innermost_reason(memory: Memory, folder: Path) -> None:
    """The reason is the one at the bottom, which says what is wrong in the file."""
    memory.refusal = {
        "reason": "failed to parse",
        "caused_by": {"reason": "No handler for type [wildcard]"},
    }
    with (
        connect(memory.url) as client,
        pytest.raises(SetupError, match=r"_ingest/pipeline/ddcolor-arrival: No handler for type"),
    ):
        install(client, folder)


def test_broken_or_missing_files_are_named(memory: Memory, folder: Path) -> None:
    """A file that is not JSON and a folder without files are errors before anything is sent."""
    file = folder / "ingest_pipelines" / "ddcolor-arrival.json"
    file.write_text("{")
    with connect(memory.url) as client:
        with pytest.raises(SetupError, match=r"ddcolor-arrival\.json is not JSON"):
            install(client, folder)
        file.unlink()
        with pytest.raises(SetupError, match="holds no JSON file"):
            install(client, folder)
    assert memory.sent("PUT") == []


def test_cluster_that_is_not_ready_is_told(memory: Memory) -> None:
    """A port that answers is not enough: the cluster's state must be yellow."""
    memory.health = (408, {"status": "red", "timed_out": True})
    with connect(memory.url) as client:
        assert readiness_problem(client) is not None
        with pytest.raises(SetupError, match="not ready after"):
            wait_ready(client, timeout_s=0.3)
        memory.health = (200, {"status": "yellow", "timed_out": False})
        assert wait_ready(client, timeout_s=5) < 5


def test_absent_server_is_not_ready() -> None:
    """Nobody listening is a problem that is returned, not raised."""
    with connect("http://127.0.0.1:1") as client:
        assert "Connection" in (readiness_problem(client) or "")


@pytest.mark.parametrize(
    ("written", "microsecond"),
    [("1795520400000.045000", 45), ("1795520400123.000000", 123_000), ("1795520400123", 123_000)],
)
def test_time_of_the_exporter_is_read(written: str, microsecond: int) -> None:
    """Milliseconds and nanoseconds become one time, to the microsecond."""
    expected = datetime(2026, 11, 24, 11, 40, microsecond=microsecond, tzinfo=UTC)
    assert queries._time(written) == expected


def test_count_needs_a_time_zone(memory: Memory) -> None:
    """A time without a zone is refused rather than taken for the wrong one."""
    with connect(memory.url) as client, pytest.raises(ValueError, match="time zone"):
        queries.count_by_stream(client, datetime(2026, 1, 1))
