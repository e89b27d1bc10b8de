"""The connection to Elasticsearch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from elasticsearch import Elasticsearch


def connect(
    url: str,
    *,
    username: str | None = None,
    password: str | None = None,
    api_key: str | None = None,
    ca_certs: Path | None = None,
    request_timeout_s: float = 10.0,
) -> Elasticsearch:
    """Return a client for ``url``; nothing is sent yet.

    Credentials are a user with a password, or an API key, or none. Requests are not repeated here:
    a caller that waits for a server to come up decides by itself how long.
    """
    # With one node there is nothing to prefer to it; the pool would warn at each try of a wait.
    logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)
    options: dict[str, Any] = {"request_timeout": request_timeout_s, "max_retries": 0}
    if username:
        options["basic_auth"] = (username, password or "")
    if api_key:
        options["api_key"] = api_key
    if ca_certs:
        options["ca_certs"] = str(ca_certs)
    return Elasticsearch(url, **options)
