"""What the embedded demo says that it does without."""

from __future__ import annotations

import pytest

from ddcolor_operations.demo import left_out as module
from ddcolor_operations.doctor import Finding


def test_what_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader learns what is not shown, and the command that brings it."""
    lacking = [Finding("Maven", "fetching", None, "apt-get install maven", "whole stack")]
    monkeypatch.setattr(module, "missing", lambda _: lacking)
    texts = module.left_out()

    for word in ("Elasticsearch", "traces", "Kibana", "apt-get install maven"):
        assert any(word in text.en for text in texts), word
    assert "apt-get install maven" in texts[-1].zh


def test_where_nothing_is_missing_the_option_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that could run everything, the way is to leave the option out."""
    monkeypatch.setattr(module, "missing", lambda _: [])

    assert "--embedded" in module.left_out()[-1].en
