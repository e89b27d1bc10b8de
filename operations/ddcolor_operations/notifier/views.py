"""What the templates see: facts of an alert or a digest, cleaned, in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.links import Kibana
from ddcolor_operations.notifier.occasions import Episode, Escalation, Form
from ddcolor_operations.notifier.paths import RULE as PATH_RULE
from ddcolor_operations.notifier.paths import Silent
from ddcolor_operations.notifier.routing import Routing
from ddcolor_operations.notifier.text import clean
from ddcolor_operations.notifier.wording import Wording

_ICONS = {1: "⚪", 2: "🟠", 3: "🔴"}
_LATE_S = 120.0
_VALUES_SHOWN = 4
_REFERENCE_LENGTH = 8


class Trusted(str):
    """A text of ours (words, links): it is not escaped when it is shown."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Size:
    """How much a message may tell: characters of the detail, groups of a digest."""

    detail: int
    groups: int


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as its reader sees it; empty texts are lines that are left out."""

    level: int
    icon: Trusted
    level_name: Trusted
    title: str
    raised: bool
    time: str
    time_short: str
    late: str
    service: str
    node: str
    often: Trusted
    detail: str
    values: tuple[tuple[str, str], ...]
    action: Trusted
    automatic: Trusted
    escalation: Trusted
    acknowledge: Trusted
    trace_url: Trusted
    logs_url: Trusted
    trace_id: str
    rule: str
    reference: str
    maybe_repeated: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts of one fault, service and node in a digest."""

    level: int
    icon: Trusted
    level_name: Trusted
    title: str
    service: str
    node: str
    often: Trusted
    reference: str


@dataclass(frozen=True, slots=True)
class QuietGroup:
    """One fault that is over: where, how often, and from when to when."""

    title: str
    service: str
    often: Trusted
    start: str
    end: str
    by: str
    reference: str


@dataclass(frozen=True, slots=True)
class DigestView:
    """Many alerts in one message, grouped; ``more`` groups did not fit."""

    level: int
    icon: Trusted
    level_name: Trusted
    why: Trusted
    total: int
    start: str
    end: str
    groups: tuple[Group, ...]
    more: int
    logs_url: Trusted
    maybe_repeated: bool


@dataclass(frozen=True, slots=True)
class QuietView:
    """Faults that are over; ``title`` is set when there is only one."""

    level: int
    icon: Trusted
    level_name: Trusted
    why: Trusted
    end_label: Trusted
    title: str
    total: int
    groups: tuple[QuietGroup, ...]
    more: int
    maybe_repeated: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """The one who reads: language, time zone, where their Kibana is, who else is told."""

    wording: Wording
    zone: tzinfo
    kibana: Kibana | None
    routing: Routing | None = None

    def alert(self, item: Item, size: Size, now: float) -> AlertView:
        """Return the view of one delivery's alert."""
        alert, say = item.alert, self.wording.say
        at = alert.occurred_at
        kibana, occasion = self.kibana, item.occasion
        if isinstance(occasion, Escalation):
            waited = self.wording.duration(now - occasion.since)
            escalation = say("escalated", span=waited, n=occasion.step)
            often = self._often(occasion.total, held=False)
        else:
            escalation = ""
            often = self._often(alert.count + item.held_before, held=item.held_before > 0)
        return AlertView(
            level=alert.level,
            icon=Trusted(_ICONS[alert.level]),
            level_name=Trusted(self.wording.levels[alert.level]),
            title=self._title(alert),
            raised=alert.kind in CATALOGUE and alert.level > CATALOGUE[alert.kind].level,
            time=self.time(at),
            time_short=self.time(at)[5:16],
            late=self._late(item, now - at.timestamp()),
            service=clean(alert.service, 60),
            node=_node(alert),
            often=often,
            detail=clean(alert.summary, size.detail) if size.detail else "",
            values=tuple(
                (clean(self.wording.values.get(name, name), 40), _value(value))
                for name, value in list(alert.values.items())[:_VALUES_SHOWN]
            ),
            action=self._action(alert),
            automatic=self._automatic(alert),
            escalation=Trusted(escalation),
            acknowledge=self._acknowledge(item),
            trace_url=Trusted(
                kibana.trace(alert.trace_id, at) if kibana and alert.trace_id else ""
            ),
            logs_url=Trusted(self._logs(alert)),
            trace_id=alert.trace_id or "",
            rule=clean(alert.rule, 60),
            reference=alert.alert_id[:_REFERENCE_LENGTH],
            maybe_repeated=item.maybe_sent,
        )

    def digest(self, items: Sequence[Item], size: Size) -> DigestView:
        """Return the view of several deliveries: loudest groups first, then the largest."""
        alike: dict[tuple[int, str, str, str], list[Item]] = {}
        for item in items:
            key = (-item.alert.level, item.alert.kind, item.alert.service, _node(item.alert))
            alike.setdefault(key, []).append(item)
        ranked = sorted(alike.values(), key=lambda group: (-group[0].alert.level, -_count(group)))
        times = [item.alert.occurred_at for item in items]
        level = max(item.alert.level for item in items)
        services = {item.alert.service for item in items}
        kibana = self.kibana if len(services) == 1 else None
        why = {Form.ESCALATION: "digest_escalated", Form.HELD_OVER: "digest_held_over"}
        return DigestView(
            level=level,
            icon=Trusted(_ICONS[level]),
            level_name=Trusted(self.wording.levels[level]),
            why=Trusted(self.wording.say(why.get(items[0].form, "digest_why"))),
            total=sum(map(_count, ranked)),
            start=self.time(min(times)),
            end=self.time(max(times)),
            groups=tuple(self._group(group) for group in ranked[: size.groups]),
            more=max(len(ranked) - size.groups, 0),
            logs_url=Trusted(kibana.logs(None, services.pop(), max(times)) if kibana else ""),
            maybe_repeated=any(item.maybe_sent for item in items),
        )

    def quiet(self, items: Sequence[Item], size: Size) -> QuietView:
        """Return the view of faults that are over. It is of level 1: it wakes nobody."""
        groups = tuple(
            QuietGroup(
                title=self._title(item.alert),
                service=clean(item.alert.service, 60),
                often=self._often(item.occasion.total, held=False),
                start=self.time(datetime.fromtimestamp(item.occasion.since, UTC)),
                end=self.time(datetime.fromtimestamp(item.occasion.last_at, UTC)),
                by=clean(item.occasion.by, 60),
                reference=item.alert.alert_id[:_REFERENCE_LENGTH],
            )
            for item in items[: size.groups]
            if isinstance(item.occasion, Episode)
        )
        # Only when all are known to be over may the message say so.
        resolved = all(isinstance(i.occasion, Episode) and i.occasion.resolved for i in items)
        return QuietView(
            level=1,
            icon=Trusted("✅"),
            level_name=Trusted(self.wording.say("resolved" if resolved else "quiet")),
            why=Trusted(self.wording.say("resolved_why" if resolved else "quiet_why")),
            end_label=Trusted(self.wording.say("resolved_at" if resolved else "last")),
            title=f"{groups[0].title} · {groups[0].service}" if len(items) == 1 else "",
            total=len(items),
            groups=groups,
            more=len(items) - len(groups),
            maybe_repeated=any(item.maybe_sent for item in items),
        )

    def silent_path(self, silent: Silent, now: float) -> str:
        """Return what the notifier says of a path that no heartbeat came by."""
        duration, say = self.wording.duration, self.wording.say
        text = say(
            "path_silent",
            path=silent.path,
            service=silent.service,
            span=duration(now - silent.beat_at),
            time=self.time(datetime.fromtimestamp(silent.beat_at, UTC)),
        )
        return text + (say("path_late", span=duration(silent.late_s)) if silent.late_s else "")

    def silent_notifier(self, seconds: float) -> str:
        """Return what the watchdog says of a notifier that has not answered for so long."""
        return self.wording.say("notifier_silent", span=self.wording.duration(seconds))

    def time(self, moment: datetime) -> str:
        """Return a time in the reader's zone, with the zone's offset."""
        try:
            local = moment.astimezone(self.zone)
        except OverflowError:
            local = moment
        return local.isoformat(sep=" ", timespec="seconds").replace("+", " +")

    def _group(self, items: list[Item]) -> Group:
        newest = max(items, key=lambda item: item.alert.occurred_at).alert
        return Group(
            level=newest.level,
            icon=Trusted(_ICONS[newest.level]),
            level_name=Trusted(self.wording.levels[newest.level]),
            title=self._title(newest),
            service=clean(newest.service, 60),
            node=_node(newest),
            often=self._often(_count(items), held=False),
            reference=newest.alert_id[:_REFERENCE_LENGTH],
        )

    def _title(self, alert: Alert) -> str:
        kind = CATALOGUE.get(alert.kind)
        if kind is None:
            return f"{self.wording.say('other_title')} {clean(alert.rule, 60)}"
        return str(getattr(kind.title, self.wording.language))

    def _action(self, alert: Alert) -> Trusted:
        # What watches the alerting itself knows better where to look than the kind does.
        own = self.wording.texts.get(f"action_{alert.rule}")
        if own is not None:
            return Trusted(own)
        kind = CATALOGUE.get(alert.kind)
        if kind is None:
            return Trusted(self.wording.say("other_action"))
        return Trusted(getattr(kind.action, self.wording.language))

    def _logs(self, alert: Alert) -> str:
        # A path is no service: nothing is logged under its name.
        if self.kibana is None or alert.rule == PATH_RULE:
            return ""
        return self.kibana.logs(alert.trace_id, alert.service, alert.occurred_at)

    def _late(self, item: Item, seconds: float) -> str:
        """Return why an alert is told so long after it happened, if it is."""
        # A call for others is on time, however old the fault is by then.
        if seconds <= _LATE_S or item.form is Form.ESCALATION:
            return ""
        if item.form is Form.HELD_OVER:
            return self.wording.say("held_over", span=self.wording.duration(seconds))
        return self.wording.say("late", span=self.wording.duration(seconds))

    def _automatic(self, alert: Alert) -> Trusted:
        if self.routing is not None and self.routing.heals(alert):
            return Trusted(self.wording.say("heal_requested"))
        return Trusted(self.wording.say("no_healer") if alert.level >= 3 else "")

    def _acknowledge(self, item: Item) -> Trusted:
        """Return how to take the alert on, where somebody is called if nobody does."""
        plan = self.routing.escalation(item.alert) if self.routing is not None else None
        if plan is None:
            return Trusted("")
        reference = item.alert.alert_id[:_REFERENCE_LENGTH]
        how = self.wording.say("acknowledge_how", ref=reference)
        done = item.occasion.step if isinstance(item.occasion, Escalation) else 0
        step = plan.step(done)
        if step is not None:
            how += self.wording.say("acknowledge_or", span=self.wording.duration(step.after_s))
        return Trusted(how)

    def _often(self, count: int, *, held: bool) -> Trusted:
        if held:
            return Trusted(self.wording.say("held_before", n=count))
        return Trusted(
            self.wording.say("once") if count == 1 else self.wording.say("times", n=count)
        )


def _node(alert: Alert) -> str:
    if not alert.node:
        return ""
    return clean(f"{alert.node} ({alert.node_id})" if alert.node_id else alert.node, 60)


def _count(items: Sequence[Item]) -> int:
    return sum(item.alert.count + item.held_before for item in items)


def _value(value: str | int | float | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else clean(value, 60)
