"""The nodes that workflows are made of: our own, and those of third parties."""

from ddcolor_service.nodes.registry import load_nodes
from ddcolor_service.nodes.services import NodeServices

__all__ = ["NodeServices", "load_nodes"]
