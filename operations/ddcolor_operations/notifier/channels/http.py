"""POST to a webhook without ever letting its address, which is a secret, into an error."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import aiohttp

from ddcolor_operations.notifier.channels.base import Blocked, Delivered, GiveUp, Outcome, Retry
from ddcolor_operations.notifier.text import clean

_REPLY_LIMIT = 65536


@dataclass(frozen=True, slots=True)
class Reply:
    """A 2xx answer, or a refusal that was asked for; ``data`` is its JSON, None without one."""

    data: Any
    status: int = 200


async def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    proxy_from_env: bool = False,
    method: str = "POST",
    read_refusals: bool = False,
) -> Reply | Retry | GiveUp | Blocked:
    """Send one request and class what happens. Never raises; follows no redirect.

    With ``read_refusals`` an answer of 4xx is a Reply too, for interfaces that say more there than
    their status does.

    A connection of its own for each request: messages are minutes apart, and a kept connection
    that the far end has closed looks like a message of unknown fate.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s, connect=timeout_s / 2)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=proxy_from_env) as session,
            session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response,
        ):
            status = response.status
            retry_after = response.headers.get("Retry-After", "")
            content = await _read(response.content)
    # Texts of these exceptions hold the host or the whole URL: only their kind is told.
    except aiohttp.ClientConnectorCertificateError:
        return Retry("the server's certificate is not trusted")
    except aiohttp.ClientSSLError:
        return Retry("no connection: TLS failed")
    except aiohttp.ClientConnectorDNSError:
        return Retry("no connection: the host's name was not found")
    except aiohttp.ClientConnectorError as error:
        return Retry(f"no connection: {os.strerror(error.os_error.errno or 0)}")
    except aiohttp.ConnectionTimeoutError:
        return Retry("no connection within the time limit")
    except TimeoutError:
        return Retry("no answer within the time limit", maybe_sent=True)
    except (aiohttp.InvalidURL, ValueError):
        return Retry("the webhook or a header is not valid: correct its secret")
    except (aiohttp.ClientError, OSError) as error:
        return Retry(f"connection lost: {type(error).__name__}", maybe_sent=True)
    if status == 429:
        seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 60.0
        return Blocked("HTTP 429", min(seconds, 3600.0))
    if status == 413:
        return GiveUp("HTTP 413: too large")
    if not 200 <= status < 300 and not (read_refusals and 400 <= status < 500):
        # A gateway that gave up waiting cannot know whether the message arrived.
        return Retry(f"HTTP {status}", maybe_sent=status == 504)
    try:
        return Reply(json.loads(content), status)
    except ValueError:
        return Reply(None, status)


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """Return the whole body, or its start if it is longer than any answer is."""
    content = bytearray()
    async for chunk in stream.iter_any():
        content += chunk
        if len(content) > _REPLY_LIMIT:
            break
    return bytes(content)


def robot_outcome(reply: Reply, *, pauses: Mapping[int, float], hopeless: Set[int]) -> Outcome:
    """Class a robot's answer by its errcode: HTTP 200 alone means nothing.

    ``pauses`` are for how long (s) it takes nothing after a code; one that is ``hopeless`` says
    that no later try can succeed.
    """
    code = reply.data.get("errcode") if isinstance(reply.data, dict) else None
    if isinstance(code, bool) or not isinstance(code, int):
        return Retry("HTTP 200 without an errcode: not a robot's answer", maybe_sent=True)
    if code == 0:
        return Delivered()
    reason = f"errcode {code}: {clean(reply.data.get('errmsg', ''), 200)}"
    if code in pauses:
        return Blocked(reason, pauses[code])
    return GiveUp(reason) if code in hopeless else Retry(reason)
