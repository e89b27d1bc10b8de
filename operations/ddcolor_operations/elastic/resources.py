"""What ``collector/elasticsearch`` holds: pipelines, templates and lifecycles, read and linked.

Each file becomes one resource under its own name. Its hash goes into ``_meta``, by which an
installed resource is recognised; that of an index template covers the component templates that it
is made of, and goes into the mapping, too: an index tells of which templates it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ddcolor_operations.elastic import attributes

HASH = "sha256"
#: The key in a mapping's ``_meta`` with the hash of the templates that the index was made of.
MADE_OF = "ddcolor_templates"


class SetupError(Exception):
    """Elasticsearch does not come up, or does not take or keep one of our resources."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing to be put into Elasticsearch; ``kind`` is the folder it lies in."""

    kind: str
    name: str
    path: str
    body: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Policy:
    """How long an index is written to and how long it is kept after that.

    ``rollover`` has the conditions in Elasticsearch's notation, such as ``max_age: 1d``.
    """

    name: str
    rollover: Mapping[str, str]
    keep: timedelta


@dataclass(frozen=True, slots=True)
class Template:
    """One of our index templates: ``prefix`` is how the names of its data streams begin."""

    name: str
    prefix: str
    digest: str
    policy: Policy
    failure_store: bool


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything of the folder: ``install`` in the order in which it can be put."""

    install: tuple[Resource, ...]
    templates: tuple[Template, ...]

    def template_of(self, stream: str) -> Template | None:
        """Return the template of a data stream, None if the stream is not ours."""
        return next((t for t in self.templates if stream.startswith(t.prefix)), None)


def load(folder: Path, *, lifecycle_management: bool) -> Resources:
    """Read the folder. Raises SetupError that names the file that cannot be used.

    Without ``lifecycle_management`` (a server that has no ILM) the lifecycles are read for our own
    retention but not installed, nor the component templates that name them to an index.
    """
    policies = {name: _policy(name, body) for name, body in _read(folder, "lifecycle_policies")}
    components = dict(_read(folder, "component_templates"))
    components[attributes.NAME] = attributes.component_template()
    install: list[Resource] = []
    if lifecycle_management:
        for name, body in _read(folder, "lifecycle_policies"):
            install.append(_resource("lifecycle_policies", f"/_ilm/policy/{name}", body))
            settings = {"index": {"lifecycle": {"name": name}}}
            components[name] = {"template": {"settings": settings}}
    for name, body in _read(folder, "ingest_pipelines"):
        install.append(_resource("ingest_pipelines", f"/_ingest/pipeline/{name}", body))
    for name, body in components.items():
        install.append(_resource("component_templates", f"/_component_template/{name}", body))
    templates = []
    for name, body in _read(folder, "index_templates"):
        made_of = [components[part] for part in body["composed_of"] if part in components]
        digest = _digest([body, *made_of])
        template = body.setdefault("template", {})
        template.setdefault("mappings", {}).setdefault("_meta", {})[MADE_OF] = digest
        install.append(_resource("index_templates", f"/_index_template/{name}", body))
        templates.append(
            Template(
                name,
                body["index_patterns"][0].removesuffix("*"),
                digest,
                _policy_of(name, body["composed_of"], policies),
                any("data_stream_options" in part["template"] for part in made_of),
            )
        )
    return Resources(tuple(install), tuple(templates))


def _read(folder: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    files = sorted((folder / kind).glob("*.json"))
    if not files:
        raise SetupError(
            f"{folder / kind} holds no JSON file. Set DDCOLOR_OBS_HOME to a whole checkout."
        )
    bodies = []
    for file in files:
        try:
            bodies.append((file.stem, json.loads(file.read_bytes())))
        except ValueError as error:
            raise SetupError(f"{file} is not JSON: {error}") from error
    return bodies


def _resource(kind: str, path: str, body: dict[str, Any]) -> Resource:
    digest = _digest(body)
    # A lifecycle has its metadata one level further down.
    inner = body["policy"] if kind == "lifecycle_policies" else body
    inner["_meta"] = {**inner.get("_meta", {}), HASH: digest}
    return Resource(kind, path.rsplit("/", 1)[-1], path, body, digest)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _policy(name: str, body: Mapping[str, Any]) -> Policy:
    phases = body["policy"]["phases"]
    days = int(phases["delete"]["min_age"].removesuffix("d"))
    return Policy(name, phases["hot"]["actions"]["rollover"], timedelta(days=days))


def _policy_of(template: str, parts: list[str], policies: Mapping[str, Policy]) -> Policy:
    named = [policies[part] for part in parts if part in policies]
    if len(named) != 1:
        raise SetupError(
            f"index_templates/{template}.json names {len(named)} lifecycles in composed_of; it must"
            f" be one of {', '.join(policies)}."
        )
    return named[0]
