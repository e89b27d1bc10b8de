"""Who calls: bearer tokens, and the address of a client behind proxies."""

from __future__ import annotations

import base64
import binascii
import hmac
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import hdrs, web

from ddcolor_service.settings import Networks

Address = IPv4Address | IPv6Address

# Browsers cannot set a header on a WebSocket, but they can offer subprotocols: the token comes as
# one of them. The answer names this one, so that the token is never sent back.
SOCKET_PROTOCOL = "ddcolor.v1"
_SOCKET_PREFIX = "bearer."


def bearer_matches(request: web.Request, token: str) -> bool:
    """Compare the request's bearer token with ``token`` in constant time."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and _same(
        given.strip().encode("utf-8", "surrogateescape"), token
    )


def socket_token_matches(request: web.Request, token: str) -> bool:
    """Compare a token offered as the subprotocol ``bearer.<base64url, no padding>``."""
    for protocol in offered_protocols(request):
        if protocol.startswith(_SOCKET_PREFIX):
            coded = protocol.removeprefix(_SOCKET_PREFIX)
            try:
                given = base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True)
            except (binascii.Error, ValueError):
                return False
            return _same(given, token)
    return False


def offered_protocols(request: web.Request) -> list[str]:
    """Return the WebSocket subprotocols that the client offers."""
    values = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _same(given: bytes, token: str) -> bool:
    return hmac.compare_digest(given, token.encode())


def client_of(request: web.Request, proxies: Networks) -> str:
    """Return the network address that a client is counted by.

    ``X-Forwarded-For`` is believed as far as it was written by ``proxies``: from its right end to
    the first hop that is none of them. What stands further left a client may have made up. An IPv6
    client is its /64, because it has all addresses of that.
    """
    peer = _address(request.remote or "")
    if peer is None:
        return request.remote or ""
    hops = [
        hop
        for value in request.headers.getall(hdrs.X_FORWARDED_FOR, [])
        for hop in value.split(",")
    ]
    client = peer
    while hops and _is_in(client, proxies):
        hop = _address(hops.pop())
        if hop is None:
            break
        client = hop
    if isinstance(client, IPv6Address):
        return str(ip_network((client, 64), strict=False))
    return str(client)


def _is_in(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """Read an address as servers and proxies write it: bare, or with a port or brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
