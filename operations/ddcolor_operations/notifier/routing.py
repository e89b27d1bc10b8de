"""Who hears of an alert, when, and who is called if nobody takes it on."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.mentions import Mention
from ddcolor_operations.notifier.occasions import Escalation, Occasion
from ddcolor_operations.notifier.outbox import RECORD
from ddcolor_operations.notifier.quiet_hours import QuietHours
from ddcolor_operations.notifier.settings import ConfigError, Section

_DEFAULT_LEVELS: Mapping[str, tuple[str, ...]] = {
    "1": (RECORD,),
    "2": ("wecom", "dingtalk"),
    "3": ("wecom", "dingtalk", "sms", "mail", "heal"),
}
_FIELDS = ("service", "kind", "rule", "owner", "level")

Mentions = Mapping[str, Mention]  # by the name of the channel


@dataclass(frozen=True, slots=True)
class Step:
    """One call for others: how long after the message before it, where, and whom by name."""

    after_s: float
    channels: tuple[str, ...]
    mentions: Mentions


@dataclass(frozen=True, slots=True)
class EscalationPlan:
    """The steps, the last of which is repeated ``repeat`` times, for alerts from ``level`` on."""

    level: int
    steps: tuple[Step, ...]
    repeat: int

    def step(self, done: int) -> Step | None:
        """Return the step after ``done`` calls, or None when all are made."""
        if done >= len(self.steps) + self.repeat:
            return None
        return self.steps[min(done, len(self.steps) - 1)]


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that match every pattern: where they go, whom they call, what follows.

    An empty ``channels`` leaves the level's; a ``plan`` of None leaves the general one.
    """

    patterns: Mapping[str, str]
    channels: tuple[str, ...]
    mentions: Mentions
    plan: EscalationPlan | None

    def matches(self, alert: Alert) -> bool:
        """Tell whether the alert is one of this route's."""
        facts = {
            "service": alert.service,
            "kind": alert.kind,
            "rule": alert.rule,
            "owner": alert.owner or "",
            "level": str(alert.level),
        }
        return all(fnmatch.fnmatchcase(facts[f], p) for f, p in self.patterns.items())


@dataclass(frozen=True, slots=True)
class Routing:
    """Which channels an alert goes to: the first route that matches, else its level's.

    ``heal_kinds`` go to the ``healers`` too, whatever their level, unless a route says otherwise.
    """

    levels: Mapping[int, tuple[str, ...]]
    routes: tuple[Route, ...] = ()
    quiet_hours: QuietHours | None = None
    plan: EscalationPlan | None = None
    healers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def channels(self, alert: Alert) -> tuple[str, ...]:
        """Return the names of the channels, at least ``record``."""
        route = self._route(alert)
        if route is not None and route.channels:
            return route.channels
        names = self.levels[alert.level]
        healers = [n for n, kinds in self.healers.items() if alert.kind in kinds and n not in names]
        return (*names, *healers)

    def heals(self, alert: Alert) -> bool:
        """Tell whether a healer is asked."""
        return any(name in self.healers for name in self.channels(alert))

    def not_before(self, alert: Alert, now: float) -> float | None:
        """Return until when the alert has to wait (s since the epoch); critical ones never do."""
        return self.quiet_until(now) if alert.level < 3 else None

    def quiet_until(self, now: float) -> float | None:
        """Return when the quiet hours that hold at ``now`` end, else None."""
        return self.quiet_hours.end_after(now) if self.quiet_hours else None

    def escalation(self, alert: Alert) -> EscalationPlan | None:
        """Return who is called if nobody takes the alert on, or None."""
        route = self._route(alert)
        plan = route.plan if route is not None and route.plan is not None else self.plan
        if plan is None or not plan.steps or alert.level < plan.level:
            return None
        return plan

    def mention(self, alert: Alert, occasion: Occasion, channel: str) -> Mention | None:
        """Return whom the message calls; None leaves it to the channel's own setting."""
        if isinstance(occasion, Escalation):
            plan = self.escalation(alert)
            step = plan.step(occasion.step - 1) if plan is not None else None
            if step is not None and channel in step.mentions:
                return step.mentions[channel]
        route = self._route(alert)
        return route.mentions.get(channel) if route is not None else None

    def _route(self, alert: Alert) -> Route | None:
        return next((route for route in self.routes if route.matches(alert)), None)


def read_routing(
    section: Section, channels: Mapping[str, Channel], zone: tzinfo, quiet_s: float
) -> Routing:
    """Read the ``routing`` part; raises ConfigError. ``quiet_s`` is when a fault is over."""
    reader = _Reader(channels, quiet_s)
    quiet = section.section("quiet_hours")
    routing = Routing(
        levels=reader.levels(section.section("levels")),
        routes=tuple(reader.route(entry) for entry in section.mappings("routes")),
        quiet_hours=QuietHours.from_section(quiet, zone) if quiet.names() else None,
        plan=reader.plan(section.section("escalation")),
        healers={n: channel.heals for n, channel in channels.items() if channel.heals is not None},
    )
    section.done()
    return routing


class _Reader:
    """Reads the parts of the routing, which all name channels."""

    def __init__(self, channels: Mapping[str, Channel], quiet_s: float) -> None:
        self._channels = channels
        self._quiet_s = quiet_s

    def levels(self, section: Section) -> dict[int, tuple[str, ...]]:
        """Read the channels of each level."""
        levels: dict[int, tuple[str, ...]] = {}
        for level, default in _DEFAULT_LEVELS.items():
            if section.has(level):
                names = self._names(section, level)
            else:
                # The defaults name the usual channels; those that are set up are used.
                names = tuple(n for n in default if n == RECORD or n in self._channels)
            levels[int(level)] = names or (RECORD,)
        section.done()
        return levels

    def route(self, entry: Section) -> Route:
        """Read one route."""
        match = entry.section("match")
        patterns = {name: match.text(name) for name in _FIELDS if match.has(name)}
        match.done()
        if not patterns:
            raise ConfigError(f"{entry.where('match')}: give at least one pattern")
        escalation = entry.section("escalation") if entry.has("escalation") else None
        route = Route(
            patterns=patterns,
            channels=self._names(entry, "channels"),
            mentions=self._mentions(entry.section("mention")),
            plan=None if escalation is None else self.plan(escalation),
        )
        if not route.channels and not route.mentions and route.plan is None:
            raise ConfigError(
                f"{entry.where('channels')}: this route changes nothing: give channels, mention or"
                " escalation"
            )
        entry.done()
        return route

    def plan(self, section: Section) -> EscalationPlan | None:
        """Read the steps of an escalation; None when the part is empty."""
        if not section.names():
            return None
        steps = tuple(self._step(entry) for entry in section.mappings("steps"))
        plan = EscalationPlan(
            level=section.integer("level", 3, low=2, high=3),
            steps=steps,
            repeat=section.integer("repeat", 0, low=0, high=100),
        )
        section.done()
        # A fault that has gone quiet calls nobody any more.
        if steps and steps[0].after_s >= self._quiet_s:
            raise ConfigError(
                f"{section.where('steps')}[0].after_s: {steps[0].after_s:g} is not below quiet_s"
                f" ({self._quiet_s:g}): the fault would be called over before anybody is called"
            )
        return plan

    def _step(self, entry: Section) -> Step:
        step = Step(
            after_s=entry.number("after_s", 300, low=1, high=7 * 86400),
            channels=self._names(entry, "channels"),
            mentions=self._mentions(entry.section("mention")),
        )
        if not step.channels or RECORD in step.channels:
            raise ConfigError(f"{entry.where('channels')}: name the channels that call somebody")
        entry.done()
        return step

    def _names(self, section: Section, name: str) -> tuple[str, ...]:
        names = section.texts(name)
        for channel in names:
            if channel != RECORD and channel not in self._channels:
                known = ", ".join([RECORD, *self._channels])
                raise ConfigError(
                    f"{section.where(name)}: channel {channel!r} is not set up: use one of {known}"
                )
        return tuple(dict.fromkeys(names))

    def _mentions(self, section: Section) -> dict[str, Mention]:
        mentions: dict[str, Mention] = {}
        for name in section.names():
            if name not in self._channels:
                raise ConfigError(f"{section.where(name)}: no channel of this name is set up")
            entry = section.section(name)
            mentions[name] = Mention.from_section(entry)
            entry.done()
            problem = self._channels[name].mention_problem(mentions[name])
            if problem is not None:
                raise ConfigError(f"{section.where(name)}: {problem}")
        section.done()
        return mentions


def unused_channels(routing: Routing, channels: Sequence[str]) -> list[str]:
    """Return the channels that no alert can reach: set up, and forgotten in the routing."""
    used = {name for names in routing.levels.values() for name in names} | set(routing.healers)
    plans = [routing.plan, *(route.plan for route in routing.routes)]
    used |= {name for route in routing.routes for name in route.channels}
    used |= {n for plan in plans if plan is not None for step in plan.steps for n in step.channels}
    return [name for name in channels if name not in used]
