"""The WeCom group robot, as its documentation (path 99110) describes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from ddcolor_operations.receivers.base import Rate
from ddcolor_operations.receivers.http import HttpReceiver, Request

_LIMITS = {"text": 2048, "markdown": 4096, "markdown_v2": 4096}


class WeComRobot(HttpReceiver):
    """Always answers HTTP 200; what it means stands in ``errcode``."""

    name = "wecom"
    path = "/cgi-bin/webhook/send"

    def __init__(
        self,
        key: str,
        *,
        per_minute: int = 20,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self._key = key
        self._rate = Rate(per_minute)

    def query(self) -> str:
        """Return the query string of the robot's webhook."""
        return urlencode({"key": self._key})

    def handle(self, request: Request) -> dict[str, Any]:
        """Check key, rate, type and length; keep the message."""
        if request.parameter("key") != self._key:
            return self.scripted(93000, "invalid webhook url")
        data = request.json()
        if data is None:
            return self.scripted(93017, "invalid json")
        kind = data.get("msgtype")
        if kind not in _LIMITS:
            return self.scripted(40008, "invalid message type")
        inner = data.get(kind)
        inner = inner if isinstance(inner, dict) else {}
        content = inner.get("content")
        if not isinstance(content, str) or not content:
            return self.scripted(44004, "empty content")
        if len(content.encode()) > _LIMITS[kind]:
            return self.scripted(
                40058,
                f"{kind}.content exceed max length {_LIMITS[kind]}. invalid Request Parameter",
            )
        if self._rate.exceeded(self.clock()):
            return self.scripted(45009, "api freq out of limit")
        mentions = [
            *(inner.get("mentioned_list") or []),
            *(inner.get("mentioned_mobile_list") or []),
        ]
        self.keep(content.splitlines()[0], content, msgtype=kind, mentions=mentions)
        return {"errcode": 0, "errmsg": "ok"}

    def scripted(self, number: int, text: str) -> dict[str, Any]:
        """Return an error as the robot words it: with the sender's address in it."""
        return {
            "errcode": number,
            "errmsg": f"{text}, hint: [1700000000000000000000001], from ip: 203.0.113.7, more info"
            f" at https://open.work.weixin.qq.com/devtool/query?e={number}",
        }
