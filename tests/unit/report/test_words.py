"""The report in Chinese."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ddcolor_operations.dashboards.model import SourceError
from ddcolor_operations.dashboards.saved_objects import FOLDER
from ddcolor_operations.dashboards.source import load
from ddcolor_operations.report.words import say, texts, translation


def test_every_text_of_the_sources_has_its_translation() -> None:
    """Nothing is left in English, and no translation is left over."""
    words = yaml.safe_load((FOLDER / "words" / "zh.yaml").read_text(encoding="utf-8"))
    assert set(texts(load(FOLDER))) - {""} == set(words)


def test_texts_are_said_in_the_chosen_language() -> None:
    """English is what the sources say; what no translation knows stays as it is."""
    assert say(FOLDER, "en")("Photos") == "Photos"
    assert say(FOLDER, "zh")("Photos") == "照片"
    assert say(FOLDER, "zh")("a node's own name") == "a node's own name"


@pytest.mark.parametrize("content", [None, "[1, 2]", "a: 1", "a: [b"])
def test_a_file_that_is_no_translation_is_refused(tmp_path: Path, content: str | None) -> None:
    """The message names the file."""
    file = tmp_path / "zh.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SourceError, match=r"zh\.yaml"):
        translation(file)
