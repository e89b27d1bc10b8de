"""The DingTalk custom robot: token, signature, keyword, rate and the ten-minute block."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from ddcolor_operations.receivers.base import Rate
from ddcolor_operations.receivers.http import HttpReceiver, Request

_REQUEST_LIMIT = 20_000
_SIGNATURE_VALID_MS = 3_600_000
_BLOCK_S = 600.0


class DingTalkRobot(HttpReceiver):
    """Always answers HTTP 200; what it means stands in ``errcode``.

    With ``signing_secret`` it demands a signature; with ``keyword`` every message must hold it.
    """

    name = "dingtalk"
    path = "/robot/send"

    def __init__(
        self,
        token: str,
        *,
        signing_secret: str | None = None,
        keyword: str | None = None,
        per_minute: int = 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self._token = token
        self._secret = signing_secret
        self._keyword = keyword
        self._rate = Rate(per_minute)
        self._blocked_until = 0.0

    def query(self) -> str:
        """Return the query string of the robot's webhook."""
        return urlencode({"access_token": self._token})

    def handle(self, request: Request) -> dict[str, Any]:
        """Check token, block, signature, size, rate and content; keep the message."""
        if request.parameter("access_token") != self._token:
            return self.scripted(300005, "token is not exist")
        now = self.clock()
        if now < self._blocked_until:
            return self._too_fast()
        if self._secret is not None:
            refusal = self._signature_refusal(request, self._secret, now)
            if refusal:
                return self.scripted(310000, refusal)
        if len(request.body) > _REQUEST_LIMIT:
            return self.scripted(460101, "message too long, exceed 20000 bytes")
        data = request.json()
        if data is None:
            return self.scripted(40035, "缺少参数 json")
        title, text = _content(data)
        if not title or not text:
            return self.scripted(400106, "markdown 缺少 title 或 text")
        links = _links(data)
        if data.get("msgtype") == "actionCard" and not links:
            return self.scripted(400106, "actionCard 缺少 btns 或 singleURL")
        if self._keyword is not None and self._keyword not in title + text:
            return self.scripted(
                310000,
                "description:关键词不匹配;solution:请联系群管理员查看此机器人的关键词,并在发送的信息中包含此关键词;",
            )
        if self._rate.exceeded(now):
            self._blocked_until = now + _BLOCK_S
            return self._too_fast()
        self.keep(title, text, msgtype=data.get("msgtype"), at=data.get("at", {}), links=links)
        return {"errcode": 0, "errmsg": "ok"}

    def scripted(self, number: int, text: str) -> dict[str, Any]:
        """Return an error as the robot words it."""
        return {"errcode": number, "errmsg": text}

    def _too_fast(self) -> dict[str, Any]:
        return self.scripted(130101, "send too fast, exceed 20 times per minute")

    def _signature_refusal(self, request: Request, secret: str, now: float) -> str | None:
        # A parameter that comes twice is no signature: the old one does not cover the request.
        timestamp, given = request.parameter("timestamp"), request.parameter("sign")
        if timestamp is None or given is None or not timestamp.isdigit():
            return (
                "description:机器人发送签名不匹配;solution:请确认签名和生成签名的时间戳必须都放在"
                "调用的网址中,请确认机器人的密钥加密和填写正确;"
            )
        if abs(now * 1000 - int(timestamp)) > _SIGNATURE_VALID_MS:
            return (
                "description:机器人发送签名过期;solution:签名生成时间和发送时间请保持在"
                " timestampms 以内;"
            )
        digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
        wanted = base64.b64encode(digest.digest()).decode()
        if not hmac.compare_digest(wanted.encode(), given.encode()):
            return "description:机器人发送签名不匹配;solution:请确认机器人的密钥加密和填写正确;"
        return None


def _content(data: dict[str, Any]) -> tuple[str, str]:
    kind = data.get("msgtype")
    inner = data.get(kind) if kind in {"markdown", "actionCard"} else None
    if isinstance(inner, dict):
        return str(inner.get("title") or ""), str(inner.get("text") or "")
    text = data.get("text")
    if kind == "text" and isinstance(text, dict):
        content = str(text.get("content") or "")
        return content[:20], content
    return "", ""


def _links(data: dict[str, Any]) -> dict[str, str]:
    """Return a card's buttons: the address by the title."""
    card = data.get("actionCard")
    if not isinstance(card, dict):
        return {}
    buttons = card.get("btns") or []
    links = {str(b.get("title")): str(b.get("actionURL")) for b in buttons if b.get("actionURL")}
    if card.get("singleURL"):
        links[str(card.get("singleTitle"))] = str(card["singleURL"])
    return links
