"""A client of ComfyUI's HTTP API, as far as the demo needs it, and of the service's admin API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

_TIMEOUT_S = 30.0
_POLL_S = 0.1


class DemoError(Exception):
    """The demo cannot go on; the message says what happened, where, and what to look at."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A prompt that ended; ``images`` are ComfyUI's references to its saved pictures."""

    success: bool
    error: str | None
    images: tuple[Mapping[str, str], ...]


class ServiceClient:
    """Talks to the service at ``url``; ``admin_token`` is needed for faults only."""

    def __init__(self, url: str, admin_token: str) -> None:
        self._url = url
        self._admin = {"Authorization": f"Bearer {admin_token}"}
        self._session = requests.Session()

    def upload(self, file: Path, name: str) -> requests.Response:
        """Upload ``file`` under ``name`` and return the answer, whatever its status is."""
        with file.open("rb") as stream:
            return self._request("POST", "/upload/image", files={"image": (name, stream)})

    def queue(self, prompt: Mapping[str, Any], scenario: str, trace_id: str) -> str:
        """Queue a prompt in the trace ``trace_id`` (32 hex digits) and return the prompt's id."""
        headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
        body = {"prompt": prompt, "extra_data": {"scenario": scenario}}
        answer = self._request("POST", "/prompt", json=body, headers=headers)
        if answer.status_code != requests.codes.ok:
            raise DemoError(f"POST /prompt answered {answer.status_code}: {answer.text[:500]}")
        return str(answer.json()["prompt_id"])

    def wait(self, prompt_id: str, timeout_s: float) -> Finished:
        """Follow the history until the prompt has ended. Raises DemoError after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            entry = self._request("GET", f"/history/{prompt_id}").json().get(prompt_id)
            if entry is not None:
                return _finished(entry)
            time.sleep(_POLL_S)
        raise DemoError(
            f"Prompt {prompt_id} has not ended after {timeout_s:.0f} s;"
            f" see {self._url}/queue and the log of part service."
        )

    def view(self, image: Mapping[str, str]) -> bytes:
        """Return the bytes of a saved picture."""
        answer = self._request("GET", "/view", params=dict(image))
        if answer.status_code != requests.codes.ok:
            raise DemoError(f"GET /view answered {answer.status_code} for {image['filename']}")
        return answer.content

    def arm(self, kind: str, *, count: int = 1, **options: float) -> None:
        """Make the fault ``kind`` happen for real the next ``count`` times."""
        body = {"kind": kind, "count": count, **options}
        answer = self._request("POST", "/admin/faults", json=body, headers=self._admin)
        if not answer.ok:
            raise DemoError(
                f"POST /admin/faults answered {answer.status_code}: {answer.text[:500]}"
            )

    def versions(self) -> dict[str, str]:
        """Return what the service says about its own software."""
        system = self._request("GET", "/system_stats").json()["system"]
        return {
            "python": str(system["python_version"]).split(" ", maxsplit=1)[0],
            "pytorch": str(system["pytorch_version"]),
        }

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(
                method, self._url + path, timeout=_TIMEOUT_S, allow_redirects=False, **options
            )
        except requests.RequestException as error:
            raise DemoError(
                f"{method} {path}: no answer from the service at {self._url}"
                f" ({type(error).__name__}); see the log of part service."
            ) from error


def new_trace_id() -> str:
    """Return a random W3C trace id."""
    return secrets.token_hex(16)


def _finished(entry: Mapping[str, Any]) -> Finished:
    status = entry["status"]
    errors = [details for event, details in status["messages"] if event == "execution_error"]
    return Finished(
        success=status["status_str"] == "success",
        error=str(errors[0].get("exception_message", "")) if errors else None,
        images=tuple(
            image for output in entry["outputs"].values() for image in output.get("images", ())
        ),
    )
