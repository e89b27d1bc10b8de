"""Reads a rule file as ElastAlert2 does, with its imports, and remembers its lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Key = tuple[str | int, ...]


class RuleFileError(Exception):
    """A file cannot be read; ``line`` counts from 1."""

    def __init__(self, path: Path, line: int, text: str) -> None:
        super().__init__(f"{path}:{line}: {text}")
        self.path = path
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake and where it stands; ``line`` counts from 1."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class YamlFile:
    """One YAML mapping and the line of each of its keys."""

    path: Path
    data: dict[str, Any]
    lines: dict[Key, int]

    def line(self, *key: str | int) -> int:
        """Return the line of ``key``, or of the nearest key above it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with what it imports merged in."""

    file: YamlFile
    data: dict[str, Any]
    imports: list[YamlFile] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The rule's name; without one, ElastAlert2 uses the file's."""
        return str(self.data.get("name", self.file.path.stem))

    def where(self, *key: str | int) -> tuple[Path, int]:
        """Return file and line in which ``key`` was set."""
        for source in (self.file, *self.imports):
            if key[0] in source.data:
                return source.path, source.line(*key)
        return self.file.path, 1


def rule_files(folder: Path) -> list[Path]:
    """Return the rule files that ElastAlert2 would load from ``folder``, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml"))


def read_yaml(path: Path) -> YamlFile:
    """Read one YAML mapping; raises RuleFileError that names the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleFileError(path, 1, f"cannot be read: {error}") from error
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines: dict[Key, int] = {}
        if node is not None:
            _note_lines(node, (), lines, path)
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RuleFileError(path, line, f"no valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise RuleFileError(path, 1, f"no valid YAML: {error}") from error
    finally:
        loader.dispose()
    if not isinstance(data, dict):
        raise RuleFileError(path, 1, "must be a mapping of options, one `name: value` a line")
    return YamlFile(path, data, lines)


def load_rule(path: Path) -> Rule:
    """Read a rule and merge its imports as ElastAlert2 does; raises RuleFileError.

    A rule's own options win over imported ones, a later import over an earlier one; filters add up.
    """
    own = read_yaml(path)
    merged: dict[str, Any] = {}
    imports: list[YamlFile] = []
    waiting = [own]
    while waiting:
        source = waiting.pop()
        if source is not own:
            imports.append(source)
        options = dict(source.data)
        names = options.pop("import", [])
        filters = [*_list(options.get("filter")), *_list(merged.get("filter"))]
        merged = {**options, **merged}
        if filters:
            merged["filter"] = filters
        for name in _list(names):
            # ElastAlert2 takes every import relative to the rule, also those of an imported file.
            target = (path.parent / str(name)).resolve()
            if not target.is_file():
                line = source.line("import")
                raise RuleFileError(source.path, line, f"import: there is no file {name}")
            if target == path.resolve() or target in [done.path for done in imports]:
                raise RuleFileError(source.path, source.line("import"), "import: goes in a circle")
            waiting.append(read_yaml(target))
    return Rule(own, merged, imports)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _note_lines(node: yaml.Node, key: Key, lines: dict[Key, int], path: Path) -> None:
    lines.setdefault(key, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            inner = (*key, str(name.value))
            line = name.start_mark.line + 1
            if inner in lines and name.tag != "tag:yaml.org,2002:merge":
                # YAML readers keep the last one silently.
                raise RuleFileError(path, line, f"{name.value}: is here a second time")
            lines[inner] = line
            _note_lines(value, inner, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*key, index), lines, path)
