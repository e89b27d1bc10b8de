"""The alerting classes cannot import the semantic conventions, so their names are compared here."""

from __future__ import annotations

import ast
import re

from comfyui_telemetry import semconv
from ddcolor_operations.layout import project_root
from ddcolor_operations.rules.lint import LAUNCHER_VARIABLES

PACKAGE = project_root() / "elastalert_rules" / "ddcolor_alerts"
_PREFIX = re.compile(r"\A(?:resource\.)?attributes\.")
_NAME = re.compile(r"(?:comfyui|ddcolor|service|log\.record|event|error)(?:\.[a-z_]+)+")


def test_every_name_in_the_alerting_classes_is_declared() -> None:
    """A dotted name of logs and documents in the code is an attribute or event of the library."""
    declared = {*semconv.ATTRIBUTES, *semconv.EVENTS, "event.ingested"}
    wrong = {
        f"{path.name}:{node.lineno}: {node.value}"
        for path in sorted(PACKAGE.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _NAME.fullmatch(name := _PREFIX.sub("", node.value))
        and name not in declared
    }
    assert not wrong


def test_the_variables_of_config_and_rules_are_known_to_the_linter() -> None:
    """Each variable of the shipped files is one that whatever starts ElastAlert2 sets."""
    home = project_root() / "elastalert_rules"
    used = set()
    for path in (home / "config.yaml", *home.glob("shared/*.yaml"), *home.glob("rules/*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.lstrip().startswith("#"):
                used |= set(re.findall(r"\$(\w+)", line))
    assert used == LAUNCHER_VARIABLES
