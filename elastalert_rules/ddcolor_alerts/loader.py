"""Loads rule files; a broken one is refused with a message and the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elastalert.loaders import FileRulesLoader
from elastalert.util import EAException


class CheckedLoader(FileRulesLoader):  # type: ignore[misc]  # ElastAlert2 has no types
    """ElastAlert2's loader, which turns every problem of a file into EAException.

    Only that one is skipped at the start (``skip_invalid``) and leaves the old version of a rule
    running after a change; a YAML error or a wrong type would end the process, or end all reloads.
    """

    def __init__(self, conf: dict[str, Any]) -> None:
        super().__init__(conf)
        self._names: dict[str, str] = {}

    def load_configuration(
        self, filename: str, conf: dict[str, Any], args: object = None
    ) -> dict[str, Any]:
        """Return the loaded rule; raises EAException that names the file."""
        with as_rule_error(filename):
            rule: dict[str, Any] = super().load_configuration(filename, conf, args)
        self._refuse_second(filename, rule["name"], conf)
        self._names[filename] = rule["name"]
        return rule

    def load_yaml(self, filename: str) -> dict[str, Any]:
        """Return the rule's options; ElastAlert2 reads a file that failed a second time with this.

        Raises EAException that names the file.
        """
        with as_rule_error(filename):
            options: dict[str, Any] = super().load_yaml(filename)
        return options

    def _refuse_second(self, filename: str, name: str, conf: dict[str, Any]) -> None:
        files = set(self.get_names(conf))
        for other, taken in self._names.items():
            if taken == name and other != filename and other in files:
                raise EAException(f"{filename}: the name {name} belongs to {other} already")


@contextmanager
def as_rule_error(filename: str) -> Iterator[None]:
    """Turn whatever is raised over a rule's file into EAException that names it."""
    try:
        yield
    except EAException:
        raise
    except Exception as error:
        raise EAException(f"{filename}: {type(error).__name__}: {error}") from error
