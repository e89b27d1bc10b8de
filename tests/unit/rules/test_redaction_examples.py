"""The telemetry library's redaction does with the shared examples what the alerting classes do."""

from __future__ import annotations

import pytest

from comfyui_telemetry import redact
from tests.support.redaction_examples import KEPT, NOBODYS_BUSINESS, SECRETS


@pytest.mark.parametrize("what", SECRETS)
def test_nothing_of_a_secret_is_left(what: str) -> None:
    """No part that is nobody's business is left of the text."""
    clean = redact(SECRETS[what])
    assert not [part for part in NOBODYS_BUSINESS if part in clean]


@pytest.mark.parametrize("text", KEPT)
def test_the_rest_is_left_alone(text: str) -> None:
    """Ids, times, versions and texts that were redacted before are untouched."""
    assert redact(text) == text
