"""The photos that the service ships for its demo, and how one is restored through the API."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ddcolor_operations.report.facts import Photo

from .client import DemoError, ServiceClient, new_trace_id

_PROMPT_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo that ships with the service, and the scenario (person, building) it belongs to."""

    scenario: str
    file: Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """One prompt that was sent and has ended; ``error`` is the service's own text."""

    prompt_id: str
    trace_id: str
    seconds: float
    error: str | None
    image: Mapping[str, str] | None


def samples(per_scenario: int) -> list[Sample]:
    """Return up to ``per_scenario`` shipped photos of each scenario. Raises DemoError if none."""
    folder = Path(str(resources.files("ddcolor_service"))) / "assets" / "photos"
    found = []
    for scenario in ("person", "building"):
        files = sorted(p for p in folder.glob(f"{scenario}*") if p.suffix in {".jpg", ".png"})
        if not files:
            raise DemoError(f"No {scenario} photo in {folder}: the installation is incomplete.")
        found += [Sample(scenario, file) for file in files[:per_scenario]]
    return found


def workflow(scenario: str, image: str) -> dict[str, Any]:
    """Return the shipped workflow of ``scenario`` (API form) with ``image`` as its input."""
    file = resources.files("ddcolor_service") / "workflows" / f"{scenario}.json"
    prompt: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for node in prompt.values():
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = image
    return prompt


def send(client: ServiceClient, sample: Sample) -> Attempt:
    """Upload the photo under a new name and run its workflow to the end, good or bad.

    A new name, because the service, as ComfyUI does, answers a prompt that it knows from its
    cache. Raises DemoError when the upload is refused or the prompt never ends.
    """
    answer = client.upload(sample.file, f"{secrets.token_hex(6)}{sample.file.suffix}")
    if not answer.ok:
        raise DemoError(
            f"Upload of {sample.file.name} answered {answer.status_code}: {answer.text[:500]}"
        )
    stored = answer.json()["name"]
    trace_id = new_trace_id()
    started = time.monotonic()
    prompt_id = client.queue(workflow(sample.scenario, stored), sample.scenario, trace_id)
    finished = client.wait(prompt_id, _PROMPT_TIMEOUT_S)
    seconds = time.monotonic() - started
    image = finished.images[0] if finished.success and finished.images else None
    error = None if image else finished.error or "the prompt ended without a picture"
    return Attempt(prompt_id, trace_id, seconds, error, image)


def restore(client: ServiceClient, sample: Sample, folder: Path) -> Photo:
    """Restore the photo and save the result in ``folder``. Raises DemoError if that fails."""
    attempt = send(client, sample)
    if attempt.image is None:
        raise DemoError(
            f"{sample.file.name} could not be restored: {attempt.error}"
            f" (prompt {attempt.prompt_id}, trace {attempt.trace_id}); see the log of part service."
        )
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{sample.file.stem}-restored{Path(attempt.image['filename']).suffix}"
    output.write_bytes(client.view(attempt.image))
    return Photo(
        scenario=sample.scenario,
        input=sample.file,
        output=output,
        seconds=attempt.seconds,
        prompt_id=attempt.prompt_id,
        trace_id=attempt.trace_id,
    )
