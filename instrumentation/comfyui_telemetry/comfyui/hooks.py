"""Place all hooks, say which are active, and take them out again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .. import semconv
from .._configure import Telemetry
from ._hook import Hook
from ._patch import HookUnavailableError
from ._running import RunningPrompts
from .http import HealthHook, RequestHook
from .log_lines import LogLines
from .nodes import NodeHook
from .outputs import OutputCheck
from .prompts import PromptHook
from .queued import QueueHook
from .recursive import RecursiveNodeHook
from .story import TextStory
from .validation import ValidationHook

_lock = threading.Lock()
_installed: Hooks | None = None


class Hooks:
    """The hooks in this process's ComfyUI. Made by :func:`install`."""

    def __init__(self, telemetry: Telemetry, *, health_route: bool, output_check: str) -> None:
        self.telemetry = telemetry
        self._log = telemetry.logger("comfyui_telemetry.comfyui")
        self._active: dict[str, tuple[Hook, str]] = {}
        self._missing: dict[str, str] = {}
        running = self._running = RunningPrompts()
        losses = telemetry.recorder.losses
        self._outputs = None if output_check == "off" else OutputCheck(losses, output_check)
        # Where several have one name, the first that fits is taken.
        self._candidates: list[Hook] = [
            NodeHook(telemetry, running),
            RecursiveNodeHook(telemetry, running),
            PromptHook(telemetry, running, self._outputs),
            QueueHook(telemetry, running),
            ValidationHook(telemetry, running),
            RequestHook(telemetry, running),
        ]
        if health_route:
            self._candidates.append(HealthHook(telemetry, running, self._state))
        self._log_lines: LogLines | None = None
        self._also: list[Callable[[], None]] = []

    @property
    def active(self) -> dict[str, str]:
        """Return the active hooks: name to what each sits on."""
        return {name: target for name, (_, target) in self._active.items()}

    @property
    def missing(self) -> dict[str, str]:
        """Return the hooks that could not be placed: name to the reason."""
        return dict(self._missing)

    def place(self) -> None:
        """Place every hook that fits this ComfyUI; each is said in the log."""
        for hook in self._candidates:
            if hook.name not in self._active:
                self._place(hook)
        self._running.sees_nodes = "nodes" in self._active
        for name in self._active:
            self._missing.pop(name, None)
        for name, reason in self._missing.items():
            loss = next(hook.loss for hook in self._candidates if hook.name == name)
            self._log.warning(
                f"Hook {name} is not active: {reason}; {loss}",
                event_name=semconv.EVENT_HOOK_MISSING,
                **{semconv.HOOK_NAME: name},
            )
        # Without a record of the prompt there is none of its nodes either: then lines must do.
        told = "prompts" in self._active
        self._log_lines = LogLines(None if told else TextStory(self.telemetry))
        self.telemetry.add_log_filter(self._log_lines)

    def on_uninstall(self, undo: Callable[[], None]) -> None:
        """Call ``undo`` when the hooks are taken out."""
        self._also.append(undo)

    def uninstall(self) -> bool:
        """Take all hooks out; False if another pack wraps one, which stays and does nothing."""
        global _installed  # noqa: PLW0603 - one ComfyUI a process
        restored = [self._remove(hook, target) for hook, target in reversed(self._active.values())]
        self._active.clear()
        if self._log_lines is not None:
            self.telemetry.remove_log_filter(self._log_lines)
            self._log_lines = None
        if self._outputs is not None:
            self._outputs.close()
        while self._also:
            self._also.pop()()
        with _lock:
            if _installed is self:
                _installed = None
        return all(restored)

    def _place(self, hook: Hook) -> None:
        try:
            target = hook.place()
        except Exception as error:  # noqa: BLE001 - ComfyUI must run on whatever happens
            hook.remove_quietly()
            told = isinstance(error, HookUnavailableError)
            reason = str(error) if told else f"{type(error).__name__}: {error}"
            before = self._missing.get(hook.name)
            self._missing[hook.name] = f"{before}; {reason}" if before else reason
            return
        hook.active = True
        self._active[hook.name] = (hook, target)
        self._log.info(
            f"Hook {hook.name} is active on {target}",
            event_name=semconv.EVENT_HOOK_INSTALLED,
            **{semconv.HOOK_NAME: hook.name, semconv.HOOK_TARGET: target},
        )

    def _remove(self, hook: Hook, target: str) -> bool:
        restored = hook.remove_quietly()
        how = "was taken out of" if restored else "stays, inactive, under another wrapper of"
        self._log.info(
            f"Hook {hook.name} {how} {target}",
            event_name=semconv.EVENT_HOOK_REMOVED,
            **{semconv.HOOK_NAME: hook.name, semconv.HOOK_TARGET: target},
        )
        return restored

    def _state(self) -> dict[str, Any]:
        return {"hooks": self.active, "missing": self.missing}


def install(
    telemetry: Telemetry, *, health_route: bool = True, output_check: str = "photos"
) -> Hooks:
    """Place the hooks in the ComfyUI of this process; a second call returns the first's.

    To be called while custom nodes are imported: later the HTTP hooks find a frozen application.
    ``output_check`` is ``photos``, ``all`` or ``off`` (:class:`~.outputs.OutputCheck`). What cannot
    be placed is said in the log and is no error.
    """
    global _installed  # noqa: PLW0603 - one ComfyUI a process
    with _lock:
        if _installed is None:
            _installed = Hooks(telemetry, health_route=health_route, output_check=output_check)
            _installed.place()
        return _installed
