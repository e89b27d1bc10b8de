"""Telemetry of this ComfyUI. Copied here by ``ddcolor-obs comfyui install``; it has no nodes.

Everything is in the package ``comfyui_telemetry``. Without it ComfyUI runs as if this folder were
not there.
"""

import sys
from pathlib import Path

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}

try:
    from comfyui_telemetry.comfyui import start
except ImportError as error:
    print(  # noqa: T201 - there is nothing else to say it with
        f"[ddcolor-telemetry] ComfyUI is not observed ({error}). Install the package into ComfyUI's"
        f' Python: {sys.executable} -m pip install "ddcolor-observability[comfyui]"',
        file=sys.stderr,
    )
else:
    HOOKS = start(Path(__file__).with_name("settings.json"))
