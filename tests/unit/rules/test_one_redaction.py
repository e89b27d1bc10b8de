"""Two environments that cannot share a package redact with one file."""

from __future__ import annotations

from ddcolor_operations.layout import project_root


def test_the_alerting_classes_redact_with_the_librarys_file() -> None:
    """ElastAlert2's environment has no room for the telemetry library; the copy must not differ."""
    original = project_root() / "instrumentation" / "comfyui_telemetry" / "_redaction.py"
    copy = project_root() / "elastalert_rules" / "ddcolor_alerts" / "_redaction.py"

    assert copy.read_bytes() == original.read_bytes(), f"run: cp {original} {copy}"
