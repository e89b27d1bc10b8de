"""Show the messages that a rule or a kind of fault would make, without sending any."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.channels.base import Format, Message
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.messages import Renderer

FORMATS: dict[Format, int] = {
    "wecom": 4096,
    "wecom_v2": 4096,
    "dingtalk": 10_000,
    "dingtalk_card": 10_000,
    "mail": 100_000,
    "sms": 402,
    "plain": 2048,
}
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


def preview(renderer: Renderer, alert: Alert, format_: Format) -> Message:
    """Return the message of ``alert`` in ``format_``; raises TemplateError."""
    now = time.time()
    item = Item(0, alert, 1, 0, now, now, 0, maybe_sent=False)
    return renderer.render([item], format_, FORMATS[format_], now)


def _metadata(file: Path) -> dict[str, Any]:
    try:
        about = yaml.safe_load(file.read_text(encoding="utf-8"))["x-ddcolor"]
        return {**about, "kind": str(about["kind"]), "level": int(about["level"])}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise PreviewError(
            f"{file}: its x-ddcolor part cannot be read ({type(error).__name__}: {error}): run"
            " ddcolor-obs rules lint"
        ) from None
