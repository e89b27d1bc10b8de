"""What our own nodes need of the service, given to them when they are registered."""

from __future__ import annotations

from dataclasses import dataclass

from comfyui_telemetry import Telemetry
from ddcolor_service.faults import FaultInjector
from ddcolor_service.folders import Folders
from ddcolor_service.models import ModelRegistry
from ddcolor_service.settings import Settings


@dataclass(slots=True)
class NodeServices:
    """Shared by the nodes of one service; third-party nodes do without."""

    settings: Settings
    folders: Folders
    models: ModelRegistry
    faults: FaultInjector
    telemetry: Telemetry
