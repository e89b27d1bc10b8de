"""The templates and pipelines on a real Elasticsearch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ddcolor_operations.elastic.setup import SetupError, install, readiness_problem
from tests.support.elastic import Pipeline

pytestmark = pytest.mark.timeout(300)


def test_installing_again_changes_nothing(pipeline: Pipeline) -> None:
    """A second installation finds everything in place."""
    installed = install(pipeline.client, pipeline.templates)
    assert (installed.changed, installed.rolled_over, installed.switched_on) == ((), (), ())


def test_changed_file_is_installed_and_only_that(pipeline: Pipeline, tmp_path: Path) -> None:
    """A file that differs from what is installed is put again, under the same name."""
    folder = tmp_path / "elasticsearch"
    shutil.copytree(pipeline.templates, folder)
    file = folder / "ingest_pipelines" / "ddcolor-traces.json"
    body = json.loads(file.read_text())
    file.write_text(json.dumps({**body, "description": "changed"}))
    try:
        assert install(pipeline.client, folder).changed == ("ddcolor-traces",)
    finally:
        restored = install(pipeline.client, pipeline.templates)
    assert restored.changed == ("ddcolor-traces",)


def test_refused_resource_is_named_with_the_reason(pipeline: Pipeline, tmp_path: Path) -> None:
    """What Elasticsearch does not take is reported by name, with its innermost reason."""
    folder = tmp_path / "elasticsearch"
    shutil.copytree(pipeline.templates, folder)
    broken: dict[str, object] = {"processors": [{"no_such_processor": {}}]}
    (folder / "ingest_pipelines" / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(SetupError, match=r"_ingest/pipeline/broken.*no_such_processor"):
        install(pipeline.client, folder)


def test_template_that_outranks_ours_is_reported(pipeline: Pipeline) -> None:
    """A foreign template that would take our data streams over is an error, not a surprise."""
    pipeline.client.indices.put_index_template(
        name="foreign", index_patterns=["logs-*"], priority=9999, data_stream={}
    )
    try:
        with pytest.raises(SetupError, match="higher priority"):
            install(pipeline.client, pipeline.templates)
    finally:
        pipeline.client.indices.delete_index_template(name="foreign")


def test_running_elasticsearch_is_ready(pipeline: Pipeline) -> None:
    """A running cluster has no readiness problem."""
    assert readiness_problem(pipeline.client) is None
