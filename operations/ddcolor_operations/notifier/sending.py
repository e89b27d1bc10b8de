"""Make one message and hand it to a channel, whatever goes wrong on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from ddcolor_operations.notifier.channels.base import Channel, Message, Outcome, Retry
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.messages import Renderer, TemplateError
from ddcolor_operations.notifier.occasions import Form


async def send(
    channel: Channel,
    items: Sequence[Item],
    *,
    renderer: Renderer,
    log: AlertLog,
    mention: Mention | None = None,
) -> Outcome:
    """Return how the channel took the message that carries ``items``, all of one form.

    Never raises. A ``mention`` of None leaves it to the channel whom the message calls.
    """
    try:
        return await channel.send(_message(channel, items, renderer, log, mention))
    except Exception as error:  # noqa: BLE001 - who sends for others must outlive one channel
        log.trouble("A channel raised", type(error).__qualname__)
        return Retry(f"unexpected {type(error).__qualname__}", maybe_sent=True)


def _message(
    channel: Channel,
    items: Sequence[Item],
    renderer: Renderer,
    log: AlertLog,
    mention: Mention | None,
) -> Message:
    now = time.time()
    over = items[0].form is Form.OVER
    level = 1 if over else max(item.alert.level for item in items)
    format_, limit = channel.shape(level, mention)
    try:
        message = renderer.render(items, format_, limit, now)
    except TemplateError as error:
        # An alert is worth more than its layout.
        log.trouble("A template failed, the plain message is sent", str(error))
        message = renderer.fallback(items, format_, limit, now)
    return replace(message, mention=mention)
