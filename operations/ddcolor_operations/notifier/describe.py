"""Say in words what a configuration does: who hears of what, and what may be forgotten."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from ddcolor_operations.notifier.config import Config
from ddcolor_operations.notifier.outbox import RECORD
from ddcolor_operations.notifier.routing import EscalationPlan, unused_channels


@dataclass(frozen=True, slots=True)
class Report:
    """What a configuration does, and what about it is odd."""

    levels: dict[int, tuple[str, ...]]
    routes: tuple[str, ...]
    quiet_hours: str
    escalation: str
    healers: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report for a script."""
        return {
            "levels": {str(level): list(names) for level, names in self.levels.items()},
            "routes": list(self.routes),
            "quiet_hours": self.quiet_hours,
            "escalation": self.escalation,
            "healers": list(self.healers),
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """Return the report for a person."""
        return [
            *(f"level {level}: {', '.join(names)}" for level, names in self.levels.items()),
            *(f"route: {route}" for route in self.routes),
            f"quiet hours: {self.quiet_hours or 'none'}",
            f"escalation: {self.escalation or 'none'}",
            f"healing: {', '.join(self.healers) or 'nobody is asked'}",
            *(f"warning: {warning}" for warning in self.warnings),
        ]


def describe(config: Config) -> Report:
    """Return the report of ``config``."""
    routing, hours = config.routing, config.routing.quiet_hours
    routes = []
    for route in routing.routes:
        patterns = ", ".join(f"{name} {pattern}" for name, pattern in route.patterns.items())
        channels = ", ".join(route.channels) or "the level's channels"
        called = f", calls {', '.join(route.mentions)}" if route.mentions else ""
        plan = "" if route.plan is None else f", escalation: {_plan(route.plan) or 'none'}"
        routes.append(f"{patterns} -> {channels}{called}{plan}")
    return Report(
        levels=dict(routing.levels),
        routes=tuple(routes),
        quiet_hours=f"{hours.start:%H:%M} to {hours.end:%H:%M} ({hours.zone})" if hours else "",
        escalation=_plan(routing.plan) if routing.plan else "",
        healers=tuple(routing.healers),
        warnings=tuple(_warnings(config)),
    )


def _plan(plan: EscalationPlan) -> str:
    steps = ", then ".join(f"after {s.after_s:g} s {', '.join(s.channels)}" for s in plan.steps)
    if not steps:
        return ""
    again = f", the last {plan.repeat} times more" if plan.repeat else ""
    return f"from level {plan.level}: {steps}{again}"


def _warnings(config: Config) -> list[str]:
    warnings = [
        f"channel {name} is set up and no alert goes there"
        for name in unused_channels(config.routing, list(config.channels))
    ]
    warnings += [
        f"level {level} is only recorded: nobody hears of it"
        for level, names in config.routing.levels.items()
        if level > 1 and set(names) == {RECORD}
    ]
    if config.api_token is None and not _is_local(config.host):
        warnings.append(
            f"host {config.host} is reached from other machines and there is no api_token:"
            " anybody there can raise and silence alerts"
        )
    return warnings


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
