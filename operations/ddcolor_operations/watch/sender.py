"""Hand alerts to the notifier, one by one until each is taken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog

from comfyui_telemetry import semconv

Alert = dict[str, Any]

# A single alert waits for none before it; a storm does not queue behind one slow answer.
_AT_ONCE = 4
_TIMEOUT = aiohttp.ClientTimeout(total=10.0, connect=2.0)
_PAUSE_FIRST_S = 0.1
_PAUSE_LAST_S = 3.0
# Sending the same again cannot mend these; the notifier says why in its answer.
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


class Sender:
    """Posts to the notifier at ``url``; ``taken`` is called for each alert that it keeps.

    What it does not take is tried again for ever, after pauses: whoever gives the alerts keeps them
    on disk meanwhile.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        taken: Callable[[str], Awaitable[None]],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._taken = taken
        self._log = log
        self._alerts: asyncio.Queue[Alert] = asyncio.Queue()
        self._beats: dict[str, dict[str, Any]] = {}
        self._beat = asyncio.Event()
        self._away = False
        self._open = 0

    def put(self, alert: Alert) -> None:
        """Send an alert as soon as possible."""
        self._open += 1
        self._alerts.put_nowait(alert)

    def beat(self, heartbeat: dict[str, Any]) -> None:
        """Send a heartbeat once; a newer one of the same service takes its place."""
        self._beats[str(heartbeat.get("service"))] = heartbeat
        self._beat.set()

    @property
    def is_idle(self) -> bool:
        """Say whether every alert so far was taken."""
        return self._open == 0

    async def run(self) -> None:
        """Send until cancelled."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        # No proxy of the environment: the notifier is a neighbour.
        async with (
            aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(_AT_ONCE):
                tasks.create_task(self._send_alerts(session))
            tasks.create_task(self._send_beats(session))

    async def _send_alerts(self, session: aiohttp.ClientSession) -> None:
        while True:
            alert = await self._alerts.get()
            pause = _PAUSE_FIRST_S
            while not await self._take(session, alert):
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(pause * 2, _PAUSE_LAST_S)
            await self._taken(alert["alert_id"])
            self._open -= 1

    async def _send_beats(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._beat.wait()
            self._beat.clear()
            beats, self._beats = list(self._beats.values()), {}
            for beat in beats:
                await self._post(session, "/heartbeats", beat)

    async def _take(self, session: aiohttp.ClientSession, alert: Alert) -> bool:
        """Post an alert; say whether it is done with, taken or refused."""
        status, answer = await self._post(session, "/alerts", alert)
        names = {semconv.ALERT_ID: alert["alert_id"], semconv.ALERT_RULE: alert["rule"]}
        # An HTTP status alone could come from anything that listens on the port.
        if status == HTTPStatus.ACCEPTED and "status" in answer:
            self._log.info(
                f"Alert {alert['alert_id']} of rule {alert['rule']}: {answer['status']}",
                event_name=semconv.EVENT_ALERT_RAISED,
                **names,
            )
        elif status in _REFUSALS and "error" in answer:
            self._log.error(
                f"The notifier refused an alert of rule {alert['rule']}: {answer['error']}",
                event_name=semconv.EVENT_ALERT_REFUSED,
                **names,
            )
        else:
            return False
        return True

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Return status and answer; status 0 and nothing when there is no answer."""
        try:
            async with session.post(self._url + path, json=body, allow_redirects=False) as reply:
                data = await reply.json()
                answer = data if isinstance(data, dict) else {}
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._say_away(type(error).__name__)
            return 0, {}
        if answer and (status == HTTPStatus.ACCEPTED or status in _REFUSALS):
            if self._away:
                self._away = False
                self._log.info("The notifier takes alerts again")
        else:
            self._say_away(f"HTTP {status}: {answer.get('error')}")
        return status, answer

    def _say_away(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._log.warning(f"The notifier does not take alerts ({why}); they are kept and tried")
