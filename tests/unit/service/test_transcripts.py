"""Our answers and messages against those of a real ComfyUI, transcript by transcript."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.service import Harness
from tests.support.transcripts import Player

FOLDER = Path(__file__).parents[2] / "data" / "comfyui_transcripts"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
async def test_transcript(service: Harness, name: str) -> None:
    """Every answer and message is as ComfyUI's, but for what the transcript says is ours."""
    steps = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    await Player(service).play(steps)
