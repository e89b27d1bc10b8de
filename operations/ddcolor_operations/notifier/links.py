"""Links into Kibana: the dashboard of one prompt, and Discover for the log lines around a fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from ddcolor_operations.notifier.alert import to_rfc3339

_AROUND = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Kibana:
    """Where Kibana is (with ``/s/SPACE`` if need be), and the ids of what the links open."""

    url: str
    logs_view: str
    prompt_dashboard: str

    def trace(self, trace_id: str, around: datetime) -> str:
        """Return the link to the dashboard of the prompt whose trace this is."""
        state = f"(query:{_query(_of_trace(trace_id))})"
        return self._link(f"dashboards#/view/{self.prompt_dashboard}", state, around)

    def logs(self, trace_id: str | None, service: str, around: datetime) -> str:
        """Return the link to the log lines of a trace, or of a service when there is none."""
        quoted = service.replace("\\", "\\\\").replace('"', '\\"')
        query = _of_trace(trace_id) if trace_id else f'service.name:"{quoted}"'
        order = "sort:!(!('@timestamp',asc))"
        state = f"(index:{_rison(self.logs_view)},query:{_query(query)},{order})"
        return self._link("discover#/", state, around)

    def _link(self, where: str, state: str, around: datetime) -> str:
        try:
            start, end = to_rfc3339(around - _AROUND), to_rfc3339(around + _AROUND)
        except OverflowError:
            start = end = to_rfc3339(around)
        time = f"(time:(from:{_rison(start)},to:{_rison(end)}))"
        # Everything is percent-encoded: a bare parenthesis would end a markdown link.
        return (
            f"{self.url.rstrip('/')}/app/{where}"
            f"?_g={quote(time, safe=':,')}&_a={quote(state, safe=':,')}"
        )


def _of_trace(trace_id: str) -> str:
    return f'trace_id:"{trace_id}"'


def _query(text: str) -> str:
    return f"(language:kuery,query:{_rison(text)})"


def _rison(text: str) -> str:
    return "'" + text.replace("!", "!!").replace("'", "!'") + "'"
