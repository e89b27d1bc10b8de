"""What is said when ElastAlert2's side of the rule tests does not answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ddcolor_operations.rules import offline
from ddcolor_operations.rules.offline import OfflineError


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "not done after 1 s: choose fewer rules or a shorter range"),
        ("echo 'x.EAException: tried: no such type' >&2; exit 1", "^tried: no such type$"),
        ("exit 3", "ended with status 3"),
    ],
)
def test_an_interpreter_that_does_not_answer_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """A run that takes too long, a rule that is not loaded and a crash are told apart."""
    monkeypatch.setattr(offline, "_TIMEOUT_S", 1.0)
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n", encoding="utf-8")
    python.chmod(0o755)

    with pytest.raises(OfflineError, match=said):
        offline.replay(
            *(tmp_path / "rule.yaml", datetime(2026, 1, 5, tzinfo=UTC), [], timedelta(0)),
            python=python,
            package_root=tmp_path,
        )
