"""Notifiers in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ddcolor_operations.notifier import history
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.service import Notifier

from .places import Places

#: Settings with which a try that failed is repeated at once.
QUICK: dict[str, Any] = {"retry": {"first_s": 0.01, "cap_s": 0.02, "give_up_after_s": 3600}}


async def until(reached: Callable[[], bool]) -> None:
    """Return once ``reached`` holds; the test's time limit ends a wait in vain."""
    async with asyncio.timeout(60):
        while not reached():
            await asyncio.sleep(0.01)


async def settled(notifier: Notifier) -> list[dict[str, Any]]:
    """Return the alerts once no delivery is pending."""
    async with asyncio.timeout(60):
        while True:
            alerts, _ = await asyncio.wrap_future(
                notifier.database.submit(lambda c: history.list_alerts(c, 0, 1000))
            )
            if all(d["status"] != "pending" for a in alerts for d in a["deliveries"]):
                return alerts
            await asyncio.sleep(0.01)


async def run(all_places: Places, logger: Any, **settings: Any) -> Notifier:
    """Return a notifier that has started."""
    notifier = Notifier(load_config(all_places.config(**settings), {}), AlertLog(logger))
    await notifier.start()
    return notifier
