"""``python -m ddcolor_operations.compose.health URL``: a health check for images without curl."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request


def main(url: str, timeout_s: float = 5.0) -> int:
    """Return 0 if ``url`` answers with success, 1 otherwise."""
    # Without the environment's proxies: it asks its own container.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s):
            return 0
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
