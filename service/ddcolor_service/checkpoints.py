"""Reading a checkpoint file: what is in it, which variant it is, and the network made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ddcolor_service.network import DDColor, DDColorConfig, config_of, variant_of


class ModelNotLoaded(RuntimeError):  # noqa: N818 - called as its fault is
    """A checkpoint cannot be used. The message says which, what is wrong and what to do.

    It never holds a folder: messages travel to chats and logs.
    """

    comfyui_error_kind = "model_not_loaded"

    def __init__(self, name: str, reason: str, action: str) -> None:
        super().__init__(f"{name}: {reason}. {action}")
        self.name = name
        self.reason = reason
        self.action = action


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint's contents, proven to fit one configuration of the network.

    ``layout`` is ``bare`` for a state dict, ``params`` for one that lies under that key.
    """

    name: str
    sha256: str
    layout: str
    config: DDColorConfig
    state: Mapping[str, Tensor]

    @property
    def variant(self) -> str:
        """``tiny``, ``large``, ``demo`` or ``custom``."""
        return variant_of(self.config)


_REPLACE = "Replace the file with a whole copy of a DDColor checkpoint, then reload the model"


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and examine a checkpoint without building a network.

    Both published layouts are read: a bare state dict, and one under ``params``. Only tensors are
    unpickled, so a hostile file cannot run code.

    Raises:
        ModelNotLoaded: no such file, not readable, not a DDColor checkpoint, wrong shapes, or
            weights that are not finite.
        MemoryError, torch.OutOfMemoryError: no room for it.
    """
    name = path.name
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            contents = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelNotLoaded(
            name,
            "no such file in the model folders",
            "Put the checkpoint there, or choose another one",
        ) from None
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except OSError as error:
        raise ModelNotLoaded(
            name,
            f"the file cannot be read ({error.strerror or type(error).__name__})",
            "Check the file's owner and mode, and the disk, then reload the model",
        ) from error
    except Exception as error:
        # Arbitrary bytes make torch.load raise nearly anything; all of it means one thing here.
        if "can't allocate memory" in str(error):
            raise MemoryError(f"no memory to read the checkpoint {name}") from error
        raise ModelNotLoaded(
            name, f"the file is damaged or no checkpoint ({type(error).__name__})", _REPLACE
        ) from error
    layout = "params" if isinstance(contents, dict) and "params" in contents else "bare"
    state = _state_of(name, contents["params"] if layout == "params" else contents)
    return Checkpoint(name, sha256, layout, _config(name, state), state)


def build_network(checkpoint: Checkpoint, device: torch.device) -> DDColor:
    """Build the network with the checkpoint's weights in float32, in evaluation mode."""
    with torch.device("meta"):  # no time and memory for weights that are replaced at once
        network = DDColor(checkpoint.config)
    network.load_state_dict(checkpoint.state, strict=True, assign=True)
    return network.to(device=device, dtype=torch.float32).eval().requires_grad_(False)


def _state_of(name: str, contents: object) -> dict[str, Tensor]:
    if not isinstance(contents, dict) or not contents:
        raise ModelNotLoaded(name, "the file holds no state dict", _REPLACE)
    for key, value in contents.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ModelNotLoaded(name, f"entry {str(key)[:80]!r} is no tensor", _REPLACE)
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ModelNotLoaded(name, f"entry {key[:80]!r} holds NaN or infinity", _REPLACE)
    return contents


def _config(name: str, state: Mapping[str, Tensor]) -> DDColorConfig:
    try:
        config = config_of({key: tuple(value.shape) for key, value in state.items()})
    except ValueError as error:
        raise ModelNotLoaded(name, f"no DDColor checkpoint: {error}", _REPLACE) from error
    problems = mismatches(config, state)
    if problems:
        variant = variant_of(config)
        raise ModelNotLoaded(
            name, f"the file does not fit the {variant} network: {'; '.join(problems)}", _REPLACE
        )
    return config


def mismatches(config: DDColorConfig, state: Mapping[str, Tensor]) -> list[str]:
    """Say in what way a state dict's names, shapes and types differ from the network's."""
    with torch.device("meta"):
        wanted = DDColor(config).state_dict()

    def said(what: str, names: list[str]) -> list[str]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return [f"{what} {names[0]}{more}"] if names else []

    shared = [key for key in wanted if key in state]
    return [
        *said("missing", [key for key in wanted if key not in state]),
        *said("unexpected", [key[:80] for key in state if key not in wanted]),
        *said(
            "wrong shape of",
            [
                f"{key} ({_shape(state[key])}, not {_shape(wanted[key])})"
                for key in shared
                if state[key].shape != wanted[key].shape
            ],
        ),
        *said(
            "wrong type of",
            [
                f"{key} ({state[key].dtype})"
                for key in shared
                if state[key].is_floating_point() != wanted[key].is_floating_point()
            ],
        ),
    ]


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
