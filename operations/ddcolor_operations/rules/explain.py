"""A rule in plain words: what it looks at, when it fires, who hears of it, and how to tune it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from comfyui_telemetry.catalogue import CATALOGUE

from . import options
from .content import FROM_RECORD
from .explain_words import WORDS
from .files import Rule
from .filter_words import describe_filter

# What a person tunes, of each type; the comments in the file say what each is for.
_TUNABLE = {
    "frequency": ("num_events", "timeframe", "realert"),
    "flatline": ("threshold", "timeframe", "realert"),
    options.CONSECUTIVE: ("threshold",),
    options.SILENCE: ("silent_after", "remember"),
    options.WINDOW: ("above", "min_count", "timeframe", "measure", "realert"),
}


def explain(rule: Rule, language: str) -> str:
    """Return the explanation of a rule in which the linter finds no problem."""
    return "\n".join(_Explanation(rule, language).lines())


class _Explanation:
    def __init__(self, rule: Rule, language: str) -> None:
        self._rule = rule
        self._data = rule.data
        self._about = rule.data[options.METADATA]
        self._words = WORDS[language]
        self._language = language

    def lines(self) -> Iterator[str]:
        """Yield the lines, with an empty one between the parts."""
        words, heartbeat = self._words, self._data["alert"] == options.HEARTBEAT
        yield f"{self._rule.name} · {words['heartbeat'] if heartbeat else self._level()}"
        if not self._data.get("is_enabled", True):
            yield words["off"]
        if not heartbeat:
            yield self._kind()
        yield ""
        yield words["looks"].format(index=self._data["index"])
        yield from describe_filter(self._data["filter"], self._language)
        yield ""
        yield f"{words['fires']}{words['colon']}{self._condition()}"
        if not heartbeat:
            yield from self._alert()
        yield ""
        yield from self._advice()
        yield ""
        yield from self._tuning()

    def _level(self) -> str:
        level = self._about["level"]
        return self._words["level"].format(level=level, who=self._words[str(level)])

    def _kind(self) -> str:
        name, head = self._about["kind"], self._words["kind"] + self._words["colon"]
        if name == FROM_RECORD:
            return head + self._words["from_record"]
        return f"{head}{name} · {getattr(CATALOGUE[name].title, self._language)}"

    def _condition(self) -> str:
        data, form = self._data, str(self._data["type"])
        facts = {"key": self._key(), "type": form}
        facts |= {name: str(data.get(name)) for name in ("num_events", "threshold", "min_count")}
        facts |= {name: _pairs(data.get(name, {})) for name in ("failure", "success")}
        if "timeframe" in data:
            facts["timeframe"] = self._length(data["timeframe"])
        if form == options.SILENCE:
            facts |= {"sign": _pairs(data["sign_of_life"]), "bye": _pairs(data["good_bye"])}
            facts["length"] = self._length(data["silent_after"])
        elif form == options.WINDOW:
            measure = data["measure"]
            form = next(name for name in ("percentile", "lowest", "share") if name in measure)
            facts |= {"percentile": str(measure.get("percentile")), "above": str(data["above"])}
            facts["field"] = _bare(str(measure.get("of") or measure.get("lowest")))
            facts["match"] = _pairs(measure.get("share", {}))
            facts["percent"] = f"{data['above']:.0%}"
        form = {options.CONSECUTIVE: "consecutive", options.SILENCE: "silence"}.get(form, form)
        return self._words.get(form, self._words["other"]).format(**facts)

    def _alert(self) -> Iterator[str]:
        words, identity = self._words, self._about.get("identity")
        if isinstance(identity, list):
            yield words["identity"].format(fields=_names(identity))
        if self._about.get("values"):
            yield f"{words['values']}{words['colon']}{', '.join(self._about['values'])}"
        yield f"{words['held']}{words['colon']}".rstrip()
        if any(self._data["realert"].values()):
            length = self._length(self._data["realert"])
            yield f"- {words['realert'].format(length=length, key=self._key())}"
        yield f"- {words['notifier']}"

    def _advice(self) -> Iterator[str]:
        words, kind = self._words, CATALOGUE.get(self._about.get("kind", ""))
        if kind is not None:
            yield f"{words['action']}{words['colon']}{getattr(kind.action, self._language)}"
        runbook = " ".join(self._about["runbook"][self._language].split())
        yield f"{words['runbook']}{words['colon']}{runbook}"
        yield f"{words['false_positives']}{words['colon']}".rstrip()
        yield from (f"- {text}" for text in self._about["false_positives"])
        yield f"{words['owner']}{words['colon']}{self._about['owner']}"

    def _tuning(self) -> Iterator[str]:
        yield self._words["tune"].format(file=self._rule.file.path.name)
        for name in (*_TUNABLE.get(str(self._data["type"]), ()), "filter"):
            path, line = self._rule.where(name)
            value = "" if name == "filter" else f": {self._value(self._data[name])}"
            yield f"- {name}{value} ({path.name}:{line})"
        yield self._words["after"].format(name=self._rule.name)

    def _key(self) -> str:
        key = self._data.get("query_key", [])
        return _names(key if isinstance(key, list) else [key]) or self._words["all"]

    def _value(self, value: Any) -> str:
        if not isinstance(value, dict):
            return str(value)
        return _pairs(value) if options.timedelta_problem(value) else self._length(value)

    def _length(self, spec: dict[str, Any]) -> str:
        return " ".join(self._words[unit].format(number) for unit, number in spec.items())


def _names(fields: list[Any]) -> str:
    return ", ".join(_bare(str(field)) for field in fields)


def _bare(field: str) -> str:
    return field.removeprefix("resource.").removeprefix("attributes.")


def _pairs(matcher: dict[str, Any]) -> str:
    """Return fields with their values; that a value may be a mapping itself shows in braces."""
    shown = {
        _bare(str(name)): f"{{{_pairs(value)}}}" if isinstance(value, dict) else value
        for name, value in matcher.items()
    }
    return ", ".join(f"{name} = {value}" for name, value in shown.items())
