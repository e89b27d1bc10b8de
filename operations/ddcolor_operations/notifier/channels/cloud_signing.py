"""The request signatures of two SMS providers, as their documentation describes them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

_ACS3, _TC3 = "ACS3-HMAC-SHA256", "TC3-HMAC-SHA256"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Return the query string, sorted and percent-encoded as RFC 3986 has it."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in parameters.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def acs3_headers(
    *,
    key_id: str,
    key_secret: str,
    host: str,
    path: str,
    query: str,
    action: str,
    version: str,
    nonce: str,
    now: float,
    body: bytes = b"",
) -> dict[str, str]:
    """Return the headers of a POST to Aliyun, signature version 3 (ACS3-HMAC-SHA256)."""
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": _sha256(body),
        "x-acs-date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    request, names = _canonical_request(path, query, headers, body)
    signature = _hmac(key_secret.encode(), f"{_ACS3}\n{_sha256(request)}").hex()
    return headers | {
        "authorization": f"{_ACS3} Credential={key_id},SignedHeaders={names},Signature={signature}"
    }


def tc3_authorization(
    *, secret_id: str, secret_key: str, host: str, service: str, now: float, body: bytes
) -> dict[str, str]:
    """Return the headers that sign a JSON POST to Tencent Cloud (TC3-HMAC-SHA256)."""
    headers = {"content-type": "application/json; charset=utf-8", "host": host}
    # Its API has one address: the path that is signed is always the root.
    request, names = _canonical_request("/", "", headers, body)
    date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
    scope = f"{date}/{service}/tc3_request"
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = _hmac(key, part)
    signature = _hmac(key, f"{_TC3}\n{int(now)}\n{scope}\n{_sha256(request)}").hex()
    return headers | {
        "x-tc-timestamp": str(int(now)),
        "authorization": (
            f"{_TC3} Credential={secret_id}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    }


def _canonical_request(
    path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[bytes, str]:
    """Return what both providers hash, and the names of the signed headers."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    return "\n".join(["POST", path, query, lines, names, _sha256(body)]).encode(), names


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
