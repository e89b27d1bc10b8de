"""The native stack: every part as a supervised child process on this machine."""

from .config import ConfigError, StackConfig
from .control import RunningStack, StackError, read_status, running_stack, start, stop

__all__ = [
    "ConfigError",
    "RunningStack",
    "StackConfig",
    "StackError",
    "read_status",
    "running_stack",
    "start",
    "stop",
]
