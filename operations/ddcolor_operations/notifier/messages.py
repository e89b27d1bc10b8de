"""Render messages: one template per format, escaped by default, always within the limit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from jinja2.sandbox import SandboxedEnvironment

from ddcolor_operations.notifier.channels.base import FACTS, Format, Link, Message, Subject
from ddcolor_operations.notifier.deliveries import Item
from ddcolor_operations.notifier.occasions import Form, to_text
from ddcolor_operations.notifier.text import clean, cut_bytes, escape_markdown
from ddcolor_operations.notifier.views import (
    AlertView,
    DigestView,
    QuietView,
    Reader,
    Size,
    Trusted,
)
from ddcolor_operations.notifier.wording import TEMPLATES

#: From much to little: the first with which a message fits its limit is taken.
_SIZES = (Size(400, 20), Size(160, 10), Size(60, 5), Size(0, 2))
_SUBJECT_LIMIT = 200
_View = AlertView | DigestView | QuietView
_MARKDOWN: frozenset[Format] = frozenset({"wecom", "wecom_v2", "dingtalk", "dingtalk_card"})


_TEMPLATE_OF = {AlertView: "alert", DigestView: "digest", QuietView: "quiet"}


class TemplateError(Exception):
    """A template of the operator cannot be used; the text says which and why."""


class Renderer:
    """Makes the messages of one reader."""

    def __init__(self, reader: Reader, templates_dir: Path | None) -> None:
        """Load the templates; those in ``templates_dir`` go before those that come with us."""
        folders = [str(folder) for folder in (templates_dir, TEMPLATES) if folder is not None]
        loader = jinja2.FileSystemLoader(folders)
        self._reader = reader
        self._words = {name: Trusted(text) for name, text in reader.wording.texts.items()}
        self._say = reader.wording.say
        self._environments = {
            "markdown": _environment(loader, finalize=_escaped),
            "plain": _environment(loader, finalize=_none_is_empty),
            "html": _environment(loader, finalize=_none_is_empty, autoescape=True),
        }

    def render(self, items: Sequence[Item], format_: Format, limit: int, now: float) -> Message:
        """Return the message that carries ``items``, of at most ``limit`` UTF-8 bytes of text.

        Raises :class:`TemplateError` when a template fails.
        """
        body, view = "", self._view(items, _SIZES[0], now)
        for size in _SIZES:
            view = self._view(items, size, now)
            body = self._fill(format_, view)
            if len(body.encode("utf-8", "replace")) <= limit:
                break
        html = self._fill("mail", view, html=True) if format_ == "mail" else ""
        return self._message(items, view, cut_bytes(body, limit), html)

    def fallback(self, items: Sequence[Item], format_: Format, limit: int, now: float) -> Message:
        """Return a message made without templates, for when the operator's cannot be used."""
        view = self._view(items, _SIZES[-1], now)
        title = self._title(view)
        body = escape_markdown(title) if format_ in _MARKDOWN else title
        html = f"<p>{markupsafe.escape(title)}</p>"
        return self._message(items, view, cut_bytes(body, limit), html)

    def _message(self, items: Sequence[Item], view: _View, body: str, html: str) -> Message:
        return Message(
            title=self._title(view),
            body=body,
            level=view.level,
            key=_key(items),
            html=html,
            subjects=tuple(Subject(i.alert, i.held_before, i.occasion) for i in items),
            facts=self._facts(view),
            links=self._links(view),
        )

    def _view(self, items: Sequence[Item], size: Size, now: float) -> _View:
        if items[0].form is Form.OVER:
            return self._reader.quiet(items, size)
        if len(items) == 1:
            return self._reader.alert(items[0], size, now)
        return self._reader.digest(items, size)

    def _title(self, view: _View) -> str:
        match view:
            case AlertView():
                text = f"{view.title} · {view.service}"
                if view.escalation:
                    text = f"{self._words['escalation']} · {text}"
            case DigestView():
                text = self._say("digest_title", total=view.total)
            case QuietView():
                text = view.title or self._say("quiet_many", n=view.total)
        return clean(f"[{view.level_name}] {text}", _SUBJECT_LIMIT)

    def _facts(self, view: _View) -> dict[str, str]:
        """Return short texts by name, for providers that keep the template themselves."""
        facts = dict.fromkeys(FACTS, "") | {"level": view.level_name}
        match view:
            case AlertView():
                facts |= {"title": view.title, "service": view.service, "node": view.node}
                facts |= {"time": view.time_short, "count": view.often, "action": view.action}
                facts["reference"] = view.reference
            case DigestView():
                facts |= {"title": self._say("digest_title", total=view.total)}
                facts |= {"time": view.end[5:16], "count": str(view.total)}
            case QuietView():
                facts["title"] = view.title or self._say("quiet_many", n=view.total)
                facts["count"] = str(view.total)
                if len(view.groups) == 1:
                    facts |= {"time": view.groups[0].end[5:16], "count": view.groups[0].often}
                    facts["reference"] = view.groups[0].reference
        return {name: str(text) for name, text in facts.items()}

    def _links(self, view: _View) -> tuple[Link, ...]:
        if isinstance(view, QuietView):
            return ()
        urls = [("view_logs", view.logs_url)]
        if isinstance(view, AlertView):
            urls.insert(0, ("view_trace", view.trace_url))
        return tuple(Link(str(self._words[name]), str(url)) for name, url in urls if url)

    def _fill(self, format_: Format, view: _View, *, html: bool = False) -> str:
        kind = _TEMPLATE_OF[type(view)]
        environment = "markdown" if format_ in _MARKDOWN else "html" if html else "plain"
        name = f"{kind}.{format_}.html.j2" if html else f"{kind}.{format_}.j2"
        context: dict[str, Any] = {
            "v": view,
            "t": self._words,
            "say": lambda text, **numbers: Trusted(self._say(text, **numbers)),
        }
        try:
            filled = self._environments[environment].get_template(name).render(context)
        except Exception as error:  # noqa: BLE001 - see the comment
            # An operator's template can raise anything that an expression can.
            where = f" line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
            raise TemplateError(f"template {name}{where}: {error}") from None
        return filled.strip() + "\n" if html else filled.strip()


def _environment(loader: jinja2.BaseLoader, **options: Any) -> SandboxedEnvironment:
    return SandboxedEnvironment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


def _none_is_empty(value: object) -> object:
    return "" if value is None else value


def _escaped(value: object) -> object:
    # A misspelt name must fail here: its escape could not.
    if isinstance(value, Trusted | jinja2.Undefined):
        return str(value)
    return escape_markdown(_none_is_empty(value))


def _key(items: Sequence[Item]) -> str:
    """Return what names this message: the same for each try that carries the same alerts."""
    if len(items) == 1 and items[0].occasion is None:
        return items[0].alert.alert_id
    ids = "\n".join(sorted(f"{item.alert.alert_id} {to_text(item.occasion)}" for item in items))
    return hashlib.sha256(ids.encode()).hexdigest()[:32]
