"""Links into Kibana."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from ddcolor_operations.dashboards.saved_objects import BUILT
from ddcolor_operations.notifier.links import Kibana
from tests.support.alerts import NOON, TRACE_ID

KIBANA = Kibana("https://kibana.example.com/s/ops/", "logs-view", "ddcolor-prompt")


def state(url: str) -> tuple[str, str]:
    """Return the decoded _g and _a of a link."""
    query = parse_qs(urlsplit(urlsplit(url).fragment).query)
    return query["_g"][0], query["_a"][0]


HALF_AN_HOUR = "(time:(from:'2026-03-01T11:45:00.000000Z',to:'2026-03-01T12:15:00.000000Z'))"


def test_a_trace_link_opens_the_dashboard_of_the_prompt() -> None:
    """The dashboard is that of the built file, filtered by the trace, around the fault."""
    url = KIBANA.trace(TRACE_ID, NOON)

    built = {json.loads(line)["id"] for line in BUILT.read_bytes().splitlines()}
    assert "ddcolor-prompt" in built
    assert url.startswith("https://kibana.example.com/s/ops/app/dashboards#/view/ddcolor-prompt?")
    time, app = state(url)
    assert time == HALF_AN_HOUR
    assert app == f"(query:(language:kuery,query:'trace_id:\"{TRACE_ID}\"'))"


def test_a_logs_link_asks_discover_for_the_trace_around_the_fault() -> None:
    """View, query, order and a time range of half an hour stand in the link."""
    url = KIBANA.logs(TRACE_ID, "ddcolor-service", NOON)

    assert url.startswith("https://kibana.example.com/s/ops/app/discover#/?")
    time, app = state(url)
    assert time == HALF_AN_HOUR
    assert app == (
        f"(index:'logs-view',query:(language:kuery,query:'trace_id:\"{TRACE_ID}\"'),"
        "sort:!(!('@timestamp',asc)))"
    )


def test_a_logs_link_without_a_trace_asks_for_the_service() -> None:
    """Quotes and exclamation marks of a service's name cannot break out of the query."""
    _, app = state(KIBANA.logs(None, 'it\'s "mine"!\\', NOON))

    assert 'query:\'service.name:"it!\'s \\"mine\\"!!\\\\"\'' in app


def test_no_character_of_a_link_ends_a_markdown_link() -> None:
    """Neither a parenthesis nor a quote nor a space is left bare."""
    for url in (KIBANA.logs(None, "a (b) 'c'", NOON), KIBANA.trace(TRACE_ID, NOON)):
        assert not set(url) & set("()' \"<>")


def test_a_time_at_the_edge_of_the_calendar_has_a_link_too() -> None:
    """A strange time does not lose the message."""
    assert KIBANA.trace(TRACE_ID, datetime.max.replace(tzinfo=UTC)).startswith("https://")
