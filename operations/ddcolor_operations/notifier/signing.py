"""Sign a request with a shared secret, and verify it at the other end.

The signature is HMAC-SHA256 over the timestamp (seconds since the epoch), a full stop, and the
body; a request that is older than a few minutes is refused, so that nobody can send it again.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

TIMESTAMP_HEADER = "X-DDColor-Timestamp"
SIGNATURE_HEADER = "X-DDColor-Signature"
_VALID_S = 300.0


class SignatureError(Exception):
    """A request is not signed as it has to be; the text says what is wrong, and no secret."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of the signature's header."""
    signed = f"{timestamp}.".encode() + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signed_headers(secret: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers of a request that is sent at ``now``."""
    timestamp = int(now)
    return {
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: signature(secret, timestamp, body),
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise :class:`SignatureError` unless the request was signed with ``secret`` just now."""
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if not timestamp.isascii() or not timestamp.isdigit():
        raise SignatureError(f"{TIMESTAMP_HEADER} is missing or no number of seconds")
    if abs(now - int(timestamp)) > _VALID_S:
        raise SignatureError(f"{TIMESTAMP_HEADER} is more than {_VALID_S:.0f} s away from now")
    wanted = signature(secret, int(timestamp), body)
    given = headers.get(SIGNATURE_HEADER, "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(wanted.encode(), given):
        raise SignatureError(f"{SIGNATURE_HEADER} does not fit the body and the secret")
