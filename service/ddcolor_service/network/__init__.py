"""The DDColor network (Kang et al., ICCV 2023) in the layout of its published checkpoints."""

from ddcolor_service.network.config import (
    DEMO,
    LARGE,
    PRESETS,
    STRIDE,
    TINY,
    DDColorConfig,
    config_of,
    variant_of,
)
from ddcolor_service.network.ddcolor import DDColor

__all__ = [
    "DEMO",
    "LARGE",
    "PRESETS",
    "STRIDE",
    "TINY",
    "DDColor",
    "DDColorConfig",
    "config_of",
    "variant_of",
]
