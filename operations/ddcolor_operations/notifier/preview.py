"""Show the messages that a rule or a kind of fault would make, without sending any."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.channels.base import Format, Message
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.messages import Renderer
from ddcolor_operations.notifier.occasions import Episode, Escalation, Form

FORMATS: dict[Format, int] = {
    "wecom": 4096,
    "wecom_v2": 4096,
    "dingtalk": 10_000,
    "dingtalk_card": 10_000,
    "mail": 100_000,
    "sms": 402,
    "plain": 2048,
}
#: What a message can be about, beside the alert itself.
OCCASIONS = ("alert", "escalation", "digest", "morning", "quiet", "resolved")
_TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class PreviewError(Exception):
    """There is nothing of that name to preview; the text lists what there is."""


def sample(name: str, rules: Path) -> Alert:
    """Return an alert as the rule ``name`` in the folder ``rules``, or a fault kind, makes it."""
    kind, level, values = name, None, {}
    file = rules / f"{name}.yaml"
    if name not in CATALOGUE and file.is_file():
        about = _metadata(file)
        kind, level, values = about["kind"], about["level"], about.get("values", {})
        kind = kind if kind in CATALOGUE else "execution_error"
    if kind not in CATALOGUE:
        known = sorted(path.stem for path in rules.glob("*.yaml"))
        raise PreviewError(
            f"{name!r} is no rule ({', '.join(known) or 'none in ' + str(rules)}) and no kind"
            f" ({', '.join(CATALOGUE)})"
        )
    fault = CATALOGUE[kind]
    return Alert(
        alert_id=_TRACE_ID[::-1],
        rule=name,
        kind=kind,
        level=int(level or fault.level),
        service="ddcolor-service",
        occurred_at=datetime.now(UTC),
        node="DDColor_Colorize",
        node_id="2",
        prompt_id=None,
        trace_id=_TRACE_ID,
        summary=f"{fault.keyword}: node DDColor_Colorize (2): the reason stands here",
        count=1,
        values=dict.fromkeys(values, 1),
    )


def preview(renderer: Renderer, alert: Alert, format_: Format, occasion: str = "alert") -> Message:
    """Return the message that ``alert`` makes on one of :data:`OCCASIONS`; raises TemplateError."""
    now = time.time()
    since = now - 900
    item = Item(0, alert, 1, 0, now, now, 0, maybe_sent=False)
    match occasion:
        case "escalation":
            items = [replace(item, occasion=Escalation(1, since, 5), form=Form.ESCALATION)]
        case "quiet" | "resolved":
            episode = Episode(since, now, 5, resolved=occasion == "resolved", by="zhang")
            items = [replace(item, occasion=episode, form=Form.OVER)]
        case "digest" | "morning":
            form = Form.HELD_OVER if occasion == "morning" else Form.ALERT
            items = [replace(_numbered(item, number), form=form) for number in range(7)]
        case _:
            items = [item]
    return renderer.render(items, format_, FORMATS[format_], now)


def _numbered(item: Item, number: int) -> Item:
    """Return the item with an alert of another id, and of one of three services."""
    alert_id = f"{number:x}{item.alert.alert_id[1:]}"
    service = f"{item.alert.service}-{number % 3 + 1}"
    return replace(item, alert=replace(item.alert, alert_id=alert_id, service=service))


def _metadata(file: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(file.read_text(encoding="utf-8"))["x-ddcolor"]
        if "owner" in about and "kind" not in about:
            raise PreviewError(f"{file.stem} sends heartbeats and no alert: it makes no message")
        return {**about, "kind": str(about["kind"]), "level": int(about["level"])}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise PreviewError(
            f"{file}: its x-ddcolor part cannot be read ({type(error).__name__}: {error}): run"
            " ddcolor-obs rules lint"
        ) from None
