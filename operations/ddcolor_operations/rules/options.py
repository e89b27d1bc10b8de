"""What may stand in a rule file: ElastAlert2's options, and those of this project's own classes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

# Options of elastalert_rules/ddcolor_alerts, by the class that reads them.
ALERTER = "ddcolor_alerts.alerter.NotifierAlerter"
HEARTBEAT = "ddcolor_alerts.heartbeat.HeartbeatAlerter"
CONSECUTIVE = "ddcolor_alerts.consecutive.ConsecutiveFailures"
SILENCE = "ddcolor_alerts.silence.SilentService"
WINDOW = "ddcolor_alerts.window.WindowThreshold"
_ALERTER_OPTIONS = {"notifier_url": "string", "x-ddcolor": "object"}
OWN_TYPES: dict[str, dict[str, str]] = {
    CONSECUTIVE: {"failure": "object", "success": "object", "threshold": "integer"},
    SILENCE: {
        "good_bye": "object",
        "remember": "timedelta",
        "sign_of_life": "object",
        "silent_after": "timedelta",
    },
    WINDOW: {
        "above": "number",
        "measure": "object",
        "min_count": "integer",
        "timeframe": "timedelta",
    },
}
_OPTIONAL = ("remember",)
# Options of these that map fields to the values that they must have.
MATCHERS = ("failure", "success", "good_bye", "sign_of_life")
# What our types add to a match, and a rule may show.
FINDINGS = ("finding.count", "finding.samples", "finding.value")
# Rule types that count over a span, so that their alerts are named by it and not by a record.
SPANS = ("frequency", WINDOW)

# What only Elasticsearch can do: neither rule tests nor the log watcher could run such a rule.
SERVER_SIDE_TYPES = ("metric_aggregation", "new_term", "percentage_match", "spike_aggregation")
SERVER_SIDE_OPTIONS = ("use_count_query", "use_terms_query")
# It looks for the time of a record under the field's name as it is, and finds none with dots.
UNDOTTED_TYPES = ("spike",)

METADATA = "x-ddcolor"
METADATA_REQUIRED = ("kind", "level", "owner", "runbook", "false_positives")
METADATA_KNOWN = (*METADATA_REQUIRED, "identity", "summary", "values")
# A heartbeat is no fault.
METADATA_OF_HEARTBEAT = ("owner", "runbook", "false_positives")

TIMEDELTA_UNITS = ("days", "hours", "milliseconds", "minutes", "seconds", "weeks")

_CHECKS: dict[str, Callable[[Any], bool]] = {
    "any": lambda _value: True,
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
}


@cache
def elastalert() -> dict[str, Any]:
    """Return the committed list of what ElastAlert2 knows (see ``ddcolor_alerts.options``)."""
    text = files(__package__).joinpath("elastalert_options.json").read_text(encoding="utf-8")
    known: dict[str, Any] = json.loads(text)
    return known


def known_options(rule_type: object) -> dict[str, str]:
    """Return the options that a rule of ``rule_type`` may have, with their types."""
    return {
        **elastalert()["options"],
        **_ALERTER_OPTIONS,
        **OWN_TYPES.get(str(rule_type), {}),
    }


def required_options(rule_type: object) -> list[str]:
    """Return the options without which a rule of ``rule_type`` is not loaded."""
    own = OWN_TYPES.get(str(rule_type), {})
    needed = ["query_key", *own] if own else elastalert()["types"].get(rule_type, [])
    return [name for name in needed if name not in _OPTIONAL]


def type_problem(value: object, wanted: str) -> str | None:
    """Return what is wrong with ``value``, or None if it has the type ``wanted``."""
    if wanted == "timedelta":
        return timedelta_problem(value)
    if any(_CHECKS[one](value) for one in wanted.split("|")):
        return None
    return f"{value!r} is not of type {wanted.replace('|', ' or ')}"


def timedelta_problem(value: object) -> str | None:
    """Return what is wrong with a length of time, or None."""
    if not isinstance(value, dict) or not value:
        return f"{value!r} is no length of time: write for example `minutes: 5` below it"
    for unit, number in value.items():
        if unit not in (*TIMEDELTA_UNITS, "schedule"):
            return f"{unit!r} is no unit of time{suggestion(str(unit), TIMEDELTA_UNITS)}"
        if unit != "schedule" and not _CHECKS["number"](number):
            return f"{unit}: {number!r} is not a number"
    return None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ``: did you mean ...?`` for a misspelt name, or nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.75)
    return f": did you mean {close[0]!r}?" if close else ""
