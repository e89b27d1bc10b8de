"""Replace one attribute of ComfyUI, and put the original back."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any


class HookUnavailableError(Exception):
    """What a hook sits on is not there; the text says what."""


def comfy_module(name: str) -> Any:
    """Return a module that ComfyUI's ``main`` has imported; it is never imported from here.

    Errors: ``HookUnavailableError`` outside of a ComfyUI process.
    """
    module = sys.modules.get(name)
    if module is None:
        raise HookUnavailableError(f"the module {name} is not loaded: this is no ComfyUI process")
    return module


def member(owner: Any, name: str) -> Any:
    """Return the callable that is to be wrapped.

    Errors: ``HookUnavailableError`` if ``owner`` has none of that name.
    """
    found = getattr(owner, name, None)
    if not callable(found):
        raise HookUnavailableError(f"{getattr(owner, '__name__', owner)} has no {name}()")
    return found


def argument(
    args: Sequence[Any], kwargs: Mapping[str, Any], position: int, name: str, default: Any = None
) -> Any:
    """Return an argument of a call as it was given, by position or by name."""
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def drop_frame(error: BaseException) -> None:
    """Take the caller's frame out of the traceback of the exception that it is about to re-raise.

    Only a bare ``raise`` after this keeps it out: then Python 3.11 and later take the traceback
    from the exception and do not add the frame again. On 3.10 nothing changes.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


class Patch:
    """One replaced attribute. Python code that wraps ours later is left in place."""

    def __init__(self, owner: Any, name: str, replacement: Any) -> None:
        self._owner = owner
        self._name = name
        self._replacement = replacement
        # The attribute itself and not what getattr makes of it; an inherited one is deleted again.
        self._had_own = name in vars(owner)
        self._original = vars(owner).get(name)
        setattr(owner, name, replacement)

    def undo(self) -> bool:
        """Restore the attribute; False if somebody has wrapped ours, which then passes through."""
        if vars(self._owner).get(self._name) is not self._replacement:
            return False
        if self._had_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)
        return True
