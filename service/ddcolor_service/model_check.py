"""Says before a switch whether a checkpoint fits: contents, colours, speed and memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ddcolor_service.checkpoints import ModelNotLoaded, build_network, read_checkpoint
from ddcolor_service.colorize import InputSizeError, colorize
from ddcolor_service.memory import PeakMemory
from ddcolor_service.models import ASSETS, device_of
from ddcolor_service.network import DDColor

PROBE = ASSETS / "photos" / "building.jpg"
DEFAULT_SIZE = 512
NODE = "DDColor_Colorize"

# Half of what a barely tinted photo shows; weights that do not work give exact 0 or close to it.
_MIN_SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class SizeResult:
    """One forward pass over the probe picture. ``spread`` is how far colours differ, in Lab."""

    size: int
    seconds: float | None = None
    peak_bytes: int | None = None
    spread: float | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What a check found. ``fits`` is the verdict; ``problems`` say why not."""

    name: str
    device: str
    sha256: str | None = None
    file_bytes: int | None = None
    layout: str | None = None
    variant: str | None = None
    parameters: int | None = None
    dtypes: dict[str, int] = field(default_factory=dict)
    load_seconds: float | None = None
    sizes: list[SizeResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    running: ModelCheck | None = None

    @property
    def fits(self) -> bool:
        """Whether the checkpoint can be used for what was asked."""
        return not self.problems

    @property
    def slowdown(self) -> float | None:
        """Seconds over all sizes, as a multiple of the running model's; None if not compared."""
        if self.running is None:
            return None
        pairs = [
            (mine.seconds, theirs.seconds)
            for mine, theirs in zip(self.sizes, self.running.sizes, strict=False)
            if mine.seconds and theirs.seconds
        ]
        return sum(m for m, _ in pairs) / sum(t for _, t in pairs) if pairs else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        running = self.running.to_dict() if self.running else None
        flat = asdict(replace(self, running=None))
        return {**flat, "fits": self.fits, "slowdown": self.slowdown, "running": running}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one DDColor node of a workflow asks for; None where a link supplies it."""

    node_id: str
    size: int | None
    checkpoint: str | None


def asked_by(workflow: Mapping[str, Any]) -> list[Asked]:
    """Find the DDColor nodes of a workflow in ComfyUI's API form or UI form.

    Raises:
        ValueError: it has none.
    """
    if isinstance(workflow.get("nodes"), list):
        found = [
            (str(node.get("id")), [*(node.get("widgets_values") or []), None, None][:2])
            for node in workflow["nodes"]
            if isinstance(node, dict) and node.get("type") == NODE
        ]
    else:
        found = [
            (node_id, [inputs.get("model_input_size"), inputs.get("checkpoint")])
            for node_id, node in workflow.items()
            if isinstance(node, dict) and node.get("class_type") == NODE
            for inputs in [node.get("inputs") or {}]
        ]
    if not found:
        raise ValueError(f"the workflow has no {NODE} node")
    return [
        Asked(
            node_id,
            size if isinstance(size, int) else None,
            checkpoint if isinstance(checkpoint, str) else None,
        )
        for node_id, (size, checkpoint) in found
    ]


def check_model(
    path: Path,
    *,
    sizes: Sequence[int] = (DEFAULT_SIZE,),
    device: str = "auto",
    running: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ModelCheck:
    """Examine a checkpoint and try it out.

    Args:
        path: the checkpoint file.
        sizes: input sizes to try, in px; those of a workflow come from ``asked_by``.
        device: as for ``models.device_of``.
        running: the checkpoint in use now, tried out in the same way to compare speed and memory.
        say: told in a few words what is being done, for these passes can take minutes.

    Raises:
        ValueError: the device is unknown or not available.
    """
    chosen = device_of(device)
    wanted = list(dict.fromkeys(sizes))
    result = _try_out(path, wanted, chosen, say)
    if running is not None and result.fits:
        result = replace(result, running=_try_out(running, wanted, chosen, say))
    return result


def _try_out(
    path: Path, sizes: list[int], device: torch.device, say: Callable[[str], None]
) -> ModelCheck:
    say(f"reading {path.name}")
    result = ModelCheck(name=path.name, device=str(device))
    started = time.perf_counter()
    try:
        checkpoint = read_checkpoint(path)
        network = build_network(checkpoint, device)
    except ModelNotLoaded as error:
        return replace(result, problems=[error.reason])
    except (MemoryError, torch.OutOfMemoryError):
        return replace(result, problems=[f"no memory to load it on {device}"])
    result = replace(
        result,
        sha256=checkpoint.sha256,
        file_bytes=path.stat().st_size,
        layout=checkpoint.layout,
        variant=checkpoint.variant,
        parameters=sum(p.numel() for p in network.parameters()),
        dtypes=dict(Counter(str(t.dtype).split(".")[1] for t in checkpoint.state.values())),
        load_seconds=time.perf_counter() - started,
    )
    del checkpoint
    probe = _probe()
    for size in sizes:
        say(f"trying {path.name} at {size} px")
        tried = _try_size(network, probe, size)
        result.sizes.append(tried)
        if tried.problem:
            result.problems.append(f"at {size} px: {tried.problem}")
    return result


def _try_size(network: DDColor, probe: NDArray[np.float32], size: int) -> SizeResult:
    started = time.perf_counter()
    try:
        with PeakMemory(network.mean.device) as memory:
            coloured = colorize(network, probe, size)
    except InputSizeError as error:
        return SizeResult(size, problem=str(error))
    except (MemoryError, torch.OutOfMemoryError):
        return SizeResult(size, problem="out of memory")
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        return SizeResult(size, problem="out of memory")
    seconds = time.perf_counter() - started
    if not np.isfinite(coloured).all():
        return SizeResult(size, seconds, memory.peak, problem="the picture holds NaN")
    ab = cv2.cvtColor(coloured, cv2.COLOR_RGB2Lab)[:, :, 1:]
    spread = float(np.linalg.norm(ab.reshape(-1, 2).std(axis=0)))
    problem = None
    if spread < _MIN_SPREAD:
        problem = f"the whole picture has one colour (spread {spread:.2f} in Lab)"
    return SizeResult(size, seconds, memory.peak, spread, problem)


def _probe() -> NDArray[np.float32]:
    """Return the demo photo, (H, W, 3) float32 RGB: real, so that colours should differ in it."""
    read = cv2.imread(str(PROBE), cv2.IMREAD_COLOR)
    if read is None:
        raise FileNotFoundError(f"the probe picture {PROBE.name} is missing from the installation")
    return np.divide(read, 255, dtype=np.float32)  # grey: BGR and RGB are the same
