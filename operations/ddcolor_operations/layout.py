"""Where things lie: the checkout's folders and the cache. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """Return the folder that holds ``collector/``, ``elastalert_rules/`` and ``dashboards/``.

    ``DDCOLOR_OBS_HOME`` names it when the package is installed away from its checkout.
    """
    named = os.environ.get("DDCOLOR_OBS_HOME")
    return Path(named).resolve() if named else Path(__file__).resolve().parents[2]


def cache_dir() -> Path:
    """Return the folder for what is downloaded or built once and shared by all checkouts.

    ``DDCOLOR_OBS_CACHE`` overrides the default: ``~/.cache/ddcolor-observability`` (XDG), and
    ``/var/cache/ddcolor-observability`` for root, whose home is closed to the unprivileged user
    that Elasticsearch has to run as.
    """
    named = os.environ.get("DDCOLOR_OBS_CACHE")
    if named:
        return Path(named).resolve()
    if os.geteuid() == 0:
        return Path("/var/cache/ddcolor-observability")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ddcolor-observability"
