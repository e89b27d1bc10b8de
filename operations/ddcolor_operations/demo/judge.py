"""Decide what arrived as expected, what is missing and what is too much; no input or output.

An alert belongs to the last fault that was caused before it occurred. Alerts that the notifier
held back, because the same error of the same service had spoken within five minutes, are expected
and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.report.collect import FaultRecord, nearest
from ddcolor_operations.report.facts import Delivery, Expected, Fault
from ddcolor_operations.report.names import CHANNELS, say

from .evidence import Alert, Seen

RECORD = "record"


@dataclass(frozen=True, slots=True)
class Chain:
    """How far an alert came that did not arrive, as said of one kind of stack."""

    written: Text
    not_written: Text


WHOLE = Chain(
    written=Text(
        "日志记录已在 Elasticsearch，但规则没有触发；请看 elastalert 的日志",
        "the log record is in Elasticsearch, but no rule fired; see the log of part elastalert",
    ),
    not_written=Text(
        "日志记录没有到达 Elasticsearch；请依次看 service、agent、gateway 的日志",
        "no log record reached Elasticsearch; see the logs of parts service, agent and gateway",
    ),
)
EMBEDDED = Chain(
    written=Text(
        "日志记录已写入文件，但规则没有触发；请看 watcher 的日志",
        "the log record is in its file, but no rule fired; see the log of part watcher",
    ),
    not_written=Text(
        "没有写出日志记录；请看 service 的日志",
        "no log record was written; see the log of part service",
    ),
)


@dataclass(frozen=True, slots=True)
class Incident:
    """A fault that was caused at ``caused_at`` and over at ``over_at``.

    ``from_cause`` says that seconds count from there; otherwise they count from the log record
    that says the fault, which a prompt writes some time after it was sent. ``recovered_s`` is from
    the fault's end to the next good photo.
    """

    name: str
    title: Text
    how: Text
    expected: tuple[Expected, ...]
    caused_at: datetime
    over_at: datetime
    trace_id: str | None
    from_cause: bool = False
    recovered_s: float | None = None


def outstanding(incident: Incident, seen: Seen) -> list[tuple[Expected, str]]:
    """Return the expected alerts and channels on which nothing has arrived yet."""
    own = [a for a in seen.alerts if a.occurred_at >= incident.caused_at]
    return [
        (expected, channel)
        for expected in incident.expected
        for channel in expected.channels
        if not any(_arrived_at(alert, channel, seen) for alert in _accepted(expected, own))
    ]


def judge(
    incidents: Sequence[Incident],
    seen: Seen,
    records: Sequence[FaultRecord],
    chain: Chain = WHOLE,
) -> tuple[list[Fault], list[Text]]:
    """Return each fault with its alerts and problems, and the problems that belong to no fault."""
    owned: dict[int, list[Alert]] = {index: [] for index in range(-1, len(incidents))}
    for alert in seen.alerts:
        before = [i for i, item in enumerate(incidents) if item.caused_at <= alert.occurred_at]
        owned[before[-1] if before else -1].append(alert)
    faults = [
        _fault(incident, owned[index], seen, records, chain)
        for index, incident in enumerate(incidents)
    ]
    problems = [_unexpected(alert) for alert in owned[-1] if alert.status == "accepted"]
    for arrival in seen.arrivals:
        if not any(alert.reference in arrival.text for alert in seen.alerts):
            line = arrival.text.strip().splitlines()[0][:80] if arrival.text.strip() else "(empty)"
            problems.append(
                Text(
                    f"{say(CHANNELS, arrival.channel, 'zh')}收到一条不属于任何告警的消息：{line}",
                    f"{say(CHANNELS, arrival.channel, 'en')} got a message of no alert: {line}",
                )
            )
    return faults, problems


def _fault(
    incident: Incident,
    own: Sequence[Alert],
    seen: Seen,
    records: Sequence[FaultRecord],
    chain: Chain,
) -> Fault:
    wanted = {(item.kind, item.level): item for item in incident.expected}
    # In the order of the plan: two rules that see one record speak in either order.
    place = {key: index for index, key in enumerate(wanted)}
    accepted = sorted(
        (alert for alert in own if alert.status == "accepted"),
        key=lambda alert: place.get((alert.kind, alert.level), len(place)),
    )
    held_back = [alert for alert in own if alert.status == "held_back"]
    problems: list[Text] = []
    deliveries: list[Delivery] = []
    for alert in accepted:
        expected = wanted.get((alert.kind, alert.level))
        if expected is None:
            problems.append(_unexpected(alert))
            continue
        problems += _too_many(alert, expected, seen)
        deliveries += _deliveries(incident, alert, expected, seen, records)
    for (kind, level), times in Counter((a.kind, a.level) for a in accepted).items():
        if times > 1 and (kind, level) in wanted:
            problems.append(
                Text(
                    f"{kind}（{level} 级）应合并为一次，却通知了 {times} 次",
                    f"{kind} (level {level}) spoke {times} times instead of once",
                )
            )
    open_keys = {alert.key for alert in seen.alerts if alert.status == "accepted"}
    problems += [_unexpected(alert) for alert in held_back if alert.key not in open_keys]
    for expected, channel in outstanding(incident, Seen(own, seen.arrivals)):
        problems.append(_missing(incident, expected, channel, own, records, chain))
    return Fault(
        name=incident.name,
        title=incident.title,
        how=incident.how,
        caused_at=incident.caused_at,
        expected=incident.expected,
        alerts=tuple(deliveries),
        held_back=len(held_back),
        trace_id=incident.trace_id,
        recovered_s=incident.recovered_s,
        problems=tuple(problems),
    )


def _deliveries(
    incident: Incident,
    alert: Alert,
    expected: Expected,
    seen: Seen,
    records: Sequence[FaultRecord],
) -> list[Delivery]:
    start = (incident.caused_at if incident.from_cause else alert.occurred_at).timestamp()
    record = nearest(records, alert.kind, alert.occurred_at.timestamp())
    indexed = record.indexed_s if record is not None else None
    arrived = ((channel, _arrived_at(alert, channel, seen)) for channel in expected.channels)
    return [
        Delivery(
            alert_id=alert.alert_id,
            rule=alert.rule,
            kind=alert.kind,
            level=alert.level,
            channel=channel,
            delivered_at=moment,
            seconds=moment.timestamp() - start,
            indexed_s=None if indexed is None else indexed - start,
            accepted_s=alert.received_at.timestamp() - start,
        )
        for channel, moment in arrived
        if moment is not None
    ]


def _arrived_at(alert: Alert, channel: str, seen: Seen) -> datetime | None:
    if channel == RECORD:
        sending = alert.sendings.get(RECORD)
        return sending.delivered_at if sending is not None else None
    return min((arrival.received_at for arrival in seen.of(alert, channel)), default=None)


def _accepted(expected: Expected, alerts: Sequence[Alert]) -> list[Alert]:
    wanted = (expected.kind, expected.level, "accepted")
    return [alert for alert in alerts if (alert.kind, alert.level, alert.status) == wanted]


def _too_many(alert: Alert, expected: Expected, seen: Seen) -> list[Text]:
    """Return what of the alert arrived more than once, or where it should not have."""
    problems = []
    counts = Counter(a.channel for a in seen.arrivals if alert.reference in a.text)
    for channel, count in counts.items():
        zh, en = say(CHANNELS, channel, "zh"), say(CHANNELS, channel, "en")
        if channel not in expected.channels:
            problems.append(
                Text(
                    f"{alert.kind}（{alert.level} 级）不应发到{zh}",
                    f"{alert.kind} (level {alert.level}) must not go to {en}",
                )
            )
        elif count > 1:
            problems.append(
                Text(
                    f"{alert.kind}（{alert.level} 级）在{zh}到达 {count} 次",
                    f"{alert.kind} (level {alert.level}) arrived {count} times on {en}",
                )
            )
    return problems


def _unexpected(alert: Alert) -> Text:
    return Text(
        f"多余的告警：{alert.kind}（{alert.level} 级），规则 {alert.rule}，编号 {alert.reference}",
        f"Unexpected alert: {alert.kind} (level {alert.level}) by rule {alert.rule},"
        f" reference {alert.reference}",
    )


def _missing(
    incident: Incident,
    expected: Expected,
    channel: str,
    own: Sequence[Alert],
    records: Sequence[FaultRecord],
    chain: Chain,
) -> Text:
    """Say what did not arrive, how far it came, and so where to look."""
    name = Text(say(CHANNELS, channel, "zh"), say(CHANNELS, channel, "en"))
    alert = next(iter(_accepted(expected, own)), None)
    if alert is not None:
        sending = alert.sendings.get(channel)
        state = "not routed" if sending is None else sending.status
        tries = 0 if sending is None else sending.attempts
        error = f": {sending.error}" if sending is not None and sending.error else ""
        reach = Text(
            f"通知器已接收，但该渠道状态为 {state}（{tries} 次尝试{error}）；请看 notifier 的日志",
            f"the notifier has it, but its delivery is {state} after {tries} tries{error};"
            " see the log of part notifier",
        )
    elif any(
        r.kind == expected.kind and r.said_s >= incident.caused_at.timestamp() for r in records
    ):
        reach = chain.written
    else:
        reach = chain.not_written
    return Text(
        f"{incident.title.zh}：{expected.kind}（{expected.level} 级）没有到达{name.zh}：{reach.zh}",
        f"{incident.title.en}: {expected.kind} (level {expected.level}) did not arrive on"
        f" {name.en}: {reach.en}",
    )
