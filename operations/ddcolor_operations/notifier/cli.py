"""``ddcolor-obs alerts``: look at alerts, acknowledge, retry, silence, preview messages."""

from __future__ import annotations

import getpass
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ddcolor_operations.layout import project_root
from ddcolor_operations.notifier.alert import to_rfc3339
from ddcolor_operations.notifier.channels.base import Format
from ddcolor_operations.notifier.client import Client, ClientError, read_token
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.describe import describe
from ddcolor_operations.notifier.messages import Renderer, TemplateError
from ddcolor_operations.notifier.preview import FORMATS, OCCASIONS, PreviewError, preview, sample
from ddcolor_operations.notifier.service import make_renderer
from ddcolor_operations.notifier.settings import ConfigError
from ddcolor_operations.notifier.views import Reader
from ddcolor_operations.notifier.wording import LANGUAGES, WordingError, load_wording

_URL = "http://127.0.0.1:8085"
_MARKS = {"delivered": "✓", "pending": "…", "dead": "✗"}
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

# How ``show`` names the deliveries of an alert that are not of the alert itself.
_PARTS = {"deliveries": "", "escalations": "escalation to ", "quiet_deliveries": "its end to "}

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _user() -> str:
    """Return the name of this user; a container may run as one that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


@click.group()
@click.option(
    "--url",
    envvar="DDCOLOR_NOTIFIER_URL",
    default=_URL,
    show_default=True,
    help="Where the notifier is.",
)
@click.option(
    "--token-file",
    envvar="DDCOLOR_NOTIFIER_TOKEN_FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the notifier's api_token; or set DDCOLOR_NOTIFIER_TOKEN.",
)
@click.pass_context
def alerts(context: click.Context, url: str, token_file: Path | None) -> None:
    """Look at alerts, acknowledge, try dead deliveries again, silence, preview messages."""
    context.obj = Client(url, read_token(token_file))


@alerts.command("list")
@click.option("--since", default="24h", show_default=True, help="30m, 24h, 7d, or RFC 3339.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 10_000))
@_as_json
@click.pass_obj
def list_(client: Client, since: str, limit: int, as_json: bool) -> None:
    """List alerts, oldest first, with the state of each delivery."""
    data = _asked(lambda: client.alerts(_start(since), limit))
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    for alert in data["alerts"]:
        click.echo(_line(alert))
    if not data["alerts"]:
        click.echo(f"no alerts since {since}")
    if data["more"]:
        click.echo(f"there are more than {limit}: give --limit or a later --since", err=True)


@alerts.command()
@click.argument("reference")
@_as_json
@click.pass_obj
def show(client: Client, reference: str, as_json: bool) -> None:
    """Show one alert; REFERENCE is its id or the first digits of it."""
    alert = _asked(lambda: client.alert(reference))
    if as_json:
        click.echo(json.dumps(alert, ensure_ascii=False))
        return
    deliveries = {title: alert.pop(name) for name, title in _PARTS.items()}
    taken = alert.pop("acknowledged")
    width = max(map(len, alert))
    for name, value in alert.items():
        if value not in (None, "", {}):
            click.echo(f"{name:<{width}}  {value}")
    if taken:
        click.echo(f"acknowledged by {_acknowledged(taken)}")
    for title, entries in deliveries.items():
        for delivery in entries:
            click.echo(f"{_MARKS[delivery['status']]} {title}{_delivery(delivery)}")


@alerts.command("open")
@_as_json
@click.pass_obj
def open_(client: Client, as_json: bool) -> None:
    """List the faults that are not over: since when, how often, and who takes care of them."""
    data = _asked(client.open)
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    for one in data["episodes"]:
        taken = one["acknowledged"]
        care = f"taken on by {taken['by'] or 'somebody'}" if taken else "nobody takes care of it"
        call = f", next call {one['next_call_at'][:19]}Z" if one["next_call_at"] else ""
        click.echo(
            f"{one['alert_id'][:8]}  {one['level']}  {one['service']}/{one['kind']}"
            f"  {one['total']} since {one['since'][:19]}Z  {care}{call}"
        )
    if not data["episodes"]:
        click.echo("no fault is open")


@alerts.command()
@click.argument("reference", metavar="ALERT|SERVICE/KIND")
@click.option("--by", default=_user, show_default="your user name", help="Who takes it.")
@click.option("--note", default="", help="For those who look at the alert.")
@_as_json
@click.pass_obj
def ack(client: Client, reference: str, by: str, note: str, as_json: bool) -> None:
    """Take a fault on: it calls nobody else, and its repeats are only counted until it is over.

    Name one of its alerts by the first digits of its id, or the fault as SERVICE/KIND.
    """
    body = {"by": by, "note": note}
    service, slash, kind = reference.rpartition("/")
    if slash:
        data = _asked(lambda: client.acknowledge(None, {**body, "service": service, "kind": kind}))
    else:
        data = _asked(lambda: client.acknowledge(reference, body))
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    for one in data["acknowledged"]:
        what = "was taken on before, by" if one["already"] else "is taken on by"
        click.echo(
            f"{one['alert_id'][:8]}  {one['service']}  {one['kind']}  {what} {_acknowledged(one)}"
        )


@alerts.command()
@click.option("--forget", metavar="PATH", help="Expect no more heartbeats of this path.")
@_as_json
@click.pass_obj
def beats(client: Client, forget: str | None, as_json: bool) -> None:
    """Show by which paths alerts come, and whether their heartbeats do."""
    if forget is not None:
        data = _asked(lambda: client.forget_path(forget))
        text = f"no heartbeat of {forget} is expected any more"
    else:
        data = _asked(client.paths)
        lines = [
            f"{'silent' if way['silent'] else 'alive':<6}  {name}  last heartbeat of"
            f" {way['service']} {way['last_beat_at'] or 'never in time'}, {way['late_s']:g} s old"
            for name, way in data["paths"].items()
        ]
        text = "\n".join(lines) or "no heartbeat has come by any path yet"
    click.echo(json.dumps(data, ensure_ascii=False) if as_json else text)


@alerts.command("check-config")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@_as_json
def check_config(file: Path, as_json: bool) -> None:
    """Check a notifier's configuration, its templates too, and show who hears of what."""
    try:
        config = load_config(file)
        make_renderer(config)
    except (ConfigError, WordingError) as error:
        raise click.ClickException(str(error)) from None
    report = describe(config)
    if as_json:
        click.echo(json.dumps(report.to_json(), ensure_ascii=False))
        return
    click.echo("\n".join(report.lines()))


@alerts.command()
@click.argument("reference", required=False)
@click.option("--all", "every", is_flag=True, help="Every alert's dead deliveries.")
@click.option("--channel", help="Only this channel's.")
@_as_json
@click.pass_obj
def retry(
    client: Client, reference: str | None, every: bool, channel: str | None, as_json: bool
) -> None:
    """Try dead deliveries again, of one alert or of all."""
    if every == (reference is not None):
        raise click.UsageError("give either a REFERENCE or --all")
    data = _asked(lambda: client.retry(reference, channel))
    click.echo(json.dumps(data) if as_json else f"{data['revived']} deliveries are tried again")


@alerts.command()
@click.option("--service", help="Shell pattern, as ddcolor-*.")
@click.option("--kind", help="Shell pattern, as out_of_memory.")
@click.option("--rule", help="Shell pattern, as keyword_*.")
@click.option("--for", "span", default="1h", show_default=True, help="30s, 30m, 2h, 1d.")
@click.option("--reason", default="", help="For those who look at the list.")
@click.option("--end", type=int, metavar="ID", help="End this silence instead.")
@_as_json
@click.pass_obj
def silence(
    client: Client,
    service: str | None,
    kind: str | None,
    rule: str | None,
    span: str,
    reason: str,
    end: int | None,
    as_json: bool,
) -> None:
    """Record alerts that match all patterns without sending them; without a pattern, list."""
    patterns = {"service": service, "kind": kind, "rule": rule}
    body = {name: pattern for name, pattern in patterns.items() if pattern is not None}
    if end is not None:
        data = _asked(lambda: client.end_silence(end))
        text = f"silence {end} is over"
    elif body:
        seconds = _seconds(span)
        data = _asked(lambda: client.silence({**body, "seconds": seconds, "reason": reason}))
        text = f"silence {data['id']} until {data['until']}"
    else:
        data = _asked(client.silences)
        text = "\n".join(map(_silence_line, data["silences"])) or "no silence is in force"
    click.echo(json.dumps(data, ensure_ascii=False) if as_json else text)


@alerts.command("preview")
@click.argument("name", metavar="RULE|KIND")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The notifier's file: its language, templates, time zone and Kibana.",
)
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(list(FORMATS)), help="Default: all."
)
@click.option(
    "--occasion",
    default="alert",
    show_default=True,
    type=click.Choice(OCCASIONS),
    help="What the message is about; each has templates of its own.",
)
@click.option("--language", type=click.Choice(LANGUAGES), help="Without --config; default zh.")
@_as_json
def preview_(
    name: str,
    config_path: Path | None,
    formats: tuple[Format, ...],
    occasion: str,
    language: str | None,
    as_json: bool,
) -> None:
    """Show the messages of a rule or a fault kind; nothing is sent."""
    try:
        alert = sample(name, project_root() / "elastalert_rules" / "rules")
        renderer = _renderer(config_path, language)
        messages = {f: preview(renderer, alert, f, occasion) for f in formats or tuple(FORMATS)}
    except (ConfigError, WordingError, TemplateError, PreviewError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        shown = {f: {"title": m.title, "body": m.body} for f, m in messages.items()}
        click.echo(json.dumps(shown, ensure_ascii=False))
        return
    for format_, message in messages.items():
        click.secho(f"--- {format_}: {message.title}", bold=True)
        click.echo(message.body + "\n")


def _renderer(config_path: Path | None, language: str | None) -> Renderer:
    if config_path is not None:
        return make_renderer(load_config(config_path))
    wording = load_wording(language or LANGUAGES[0], None)
    zone = datetime.now().astimezone().tzinfo or UTC
    return Renderer(Reader(wording, zone, None), None)


def _asked(question: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = question()
    except ClientError as error:
        raise click.ClickException(str(error)) from None
    return answer


def _start(since: str) -> str:
    """Return the RFC 3339 time that ``since`` means; a span counts back from now."""
    if _SPAN.fullmatch(since) is None:
        return since
    try:
        return to_rfc3339(datetime.now(UTC) - timedelta(seconds=_seconds(since)))
    except OverflowError:
        raise click.BadParameter(
            f"{since!r} is before the calendar begins", param_hint="--since"
        ) from None


def _seconds(span: str) -> float:
    match = _SPAN.fullmatch(span)
    if match is None:
        raise click.BadParameter(
            f"{span!r} is no span: give 30s, 30m, 2h or 1d", param_hint="--for"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])}).total_seconds()


def _acknowledged(one: dict[str, Any]) -> str:
    note = f" ({one['note']})" if one["note"] else ""
    return f"{one['by'] or 'somebody'} at {one['at']} after {one['waited_s']:g} s{note}"


def _silence_line(entry: dict[str, Any]) -> str:
    return (
        f"{entry['id']}  until {entry['until'][:19]}Z  service={entry['service']}"
        f" kind={entry['kind']} rule={entry['rule']}  {entry['alerts']} alerts"
        f"  {entry['reason']}".rstrip()
    )


def _line(alert: dict[str, Any]) -> str:
    deliveries = " ".join(f"{_MARKS[d['status']]}{d['channel']}" for d in alert["deliveries"])
    where = alert["service"] + (f"/{alert['node']}" if alert["node"] else "")
    held = f" (+{alert['held_back']} held back)" if alert["held_back"] else ""
    return (
        f"{alert['alert_id'][:8]}  {alert['received_at'][:19]}Z  {alert['level']}"
        f"  {alert['kind']}  {where}  {deliveries or alert['status']}{held}"
    )


def _delivery(delivery: dict[str, Any]) -> str:
    text = f"{delivery['channel']}: {delivery['status']} after {delivery['attempts']} tries"
    if delivery["delivered_at"]:
        text += f" at {delivery['delivered_at']}"
    if delivery["next_at"]:
        text += f", next at {delivery['next_at']}"
    return text + (f" ({delivery['error']})" if delivery["error"] else "")
