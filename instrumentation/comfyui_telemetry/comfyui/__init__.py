"""See into a real, unmodified ComfyUI: spans, records and metrics of its prompts and nodes.

    from comfyui_telemetry import configure
    from comfyui_telemetry.comfyui import install

    hooks = install(configure("comfyui", log_file=Path("comfyui.jsonl"), log_stdout=False))
    hooks.active      # {"nodes": "execution.execute", "prompts": "PromptExecutor.execute", ...}
    hooks.uninstall()

Inside ComfyUI the folder ``custom_nodes/comfyui_ddcolor_telemetry`` does this (``start``). What
ComfyUI does is wrapped where it does it: one small module a hook. A hook that finds nothing to sit
on is said in the log and left out; the others work on. No hook raises into ComfyUI or changes a
result, and each takes its own frame out of the tracebacks that pass through it (Python 3.11 on).
"""

from ._start import start
from .hooks import Hooks, install

__all__ = ["Hooks", "install", "start"]
