"""Links into Kibana's Discover: the spans of a trace, and the log lines around a fault."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from ddcolor_operations.notifier.alert import to_rfc3339

_AROUND = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Kibana:
    """Where Kibana is (with ``/s/SPACE`` if need be) and the ids of its data views."""

    url: str
    logs_view: str
    traces_view: str

    def trace(self, trace_id: str, around: datetime) -> str:
        """Return the link to the spans of a trace."""
        return self._discover(self.traces_view, f'trace_id:"{trace_id}"', around)

    def logs(self, trace_id: str | None, service: str, around: datetime) -> str:
        """Return the link to the log lines of a trace, or of a service when there is none."""
        quoted = service.replace("\\", "\\\\").replace('"', '\\"')
        query = f'trace_id:"{trace_id}"' if trace_id else f'service.name:"{quoted}"'
        return self._discover(self.logs_view, query, around)

    def _discover(self, view: str, query: str, around: datetime) -> str:
        try:
            start, end = to_rfc3339(around - _AROUND), to_rfc3339(around + _AROUND)
        except OverflowError:
            start = end = to_rfc3339(around)
        time = f"(time:(from:{_rison(start)},to:{_rison(end)}))"
        state = (
            f"(index:{_rison(view)},query:(language:kuery,query:{_rison(query)}),"
            "sort:!(!('@timestamp',asc)))"
        )
        # Everything is percent-encoded: a bare parenthesis would end a markdown link.
        return (
            f"{self.url.rstrip('/')}/app/discover#/"
            f"?_g={quote(time, safe=':,')}&_a={quote(state, safe=':,')}"
        )


def _rison(text: str) -> str:
    return "'" + text.replace("!", "!!").replace("'", "!'") + "'"
