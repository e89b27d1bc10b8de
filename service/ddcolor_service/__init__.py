"""A photo restoration service: the DDColor network behind ComfyUI's API."""

import sys

# The distribution installs on 3.10 too, for the pack in a ComfyUI of that Python.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"The service needs Python 3.11 or newer; {sys.executable} is older.")
