"""The dashboards' report and the waterfall in the terminal, made of real documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Browser, Page, expect

from ddcolor_operations.cli import cli
from ddcolor_operations.dashboards.run import run
from ddcolor_operations.dashboards.saved_objects import FOLDER, build
from ddcolor_operations.dashboards.source import load
from ddcolor_operations.dashboards.times import last
from tests.support.dashboard_story import Told, tell
from tests.support.elastic import SPAN_STREAM, Pipeline, eventually

pytestmark = pytest.mark.timeout(300)

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def told(pipeline: Pipeline) -> Told:
    """Return the ids of a told day, once the trace of its failed photo is complete."""
    told = tell(pipeline)
    # Request, prompt and two nodes; while their stream is being made, it cannot be asked.
    pipeline.wait_for(SPAN_STREAM, {"term": {"trace_id": told.trace_id}}, count=4)
    # The alert's records come through another file than the service's.
    eventually(
        lambda: invoke(pipeline, "trace", told.trace_id),
        lambda result: "Alert delivered to dingtalk" in result.output,
    )
    return told


@pytest.fixture(scope="module")
def written(pipeline: Pipeline, told: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the told day."""
    # The machine's and the collectors' own figures come every 10 to 15 s.
    objects = build(load(FOLDER))
    eventually(
        lambda: [t.where for t in run(pipeline.client, objects, last("30m")) if t.problems],
        lambda empty: not empty,
        60,
    )
    file = tmp_path_factory.mktemp("report") / "report.html"
    result = invoke(pipeline, "report", "--last", "30m", "-o", str(file))
    assert result.exit_code == 0, result.output
    return file


def invoke(pipeline: Pipeline, command: str, *arguments: str) -> Result:
    """Run ``ddcolor-obs command`` on the pipeline's Elasticsearch."""
    return CliRunner().invoke(cli, [command, "--url", pipeline.url, *arguments])


def opened(browser: Browser, file: Path, **options: object) -> tuple[Page, list[str]]:
    """Open the page; return it with all that it complains of or asks the network for."""
    page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda r: complaints.append(r.url) if r.url.startswith(("http", "ws")) else None,
    )
    page.goto(file.as_uri())
    return page, complaints


def test_every_chart_of_every_dashboard_is_drawn(browser: Browser, written: Path) -> None:
    """All eight are there, each figure is drawn, and nothing is loaded or complained of."""
    page, complaints = opened(browser, written, viewport={"width": 1400, "height": 6000})
    tabs = page.locator("[data-tab]")
    expect(tabs).to_have_count(8)
    for tab in tabs.all():
        tab.click()
        board = page.locator(".board:visible")
        expect(board).to_have_count(1)
        charts = board.locator("[data-figure]")
        assert charts.count() > 0
        for chart in charts.all():
            expect(chart.locator("svg.main-svg").first).to_be_attached()
        assert board.locator(".refused").all_text_contents() == []
        # Of the prompts that are shown not each has an alert.
        if tab.get_attribute("data-tab") != "prompt":
            assert board.locator(".empty").all_text_contents() == []
    assert complaints == []


def test_a_trace_of_a_table_opens_its_prompt(browser: Browser, written: Path) -> None:
    """The links of the tables lead to the waterfall of the trace, which can be changed there."""
    page, _ = opened(browser, written, viewport={"width": 1400, "height": 900})
    page.goto(f"{written.as_uri()}#nodes")
    link = page.locator(".board:visible td a").first
    target = str(link.get_attribute("href"))
    link.click()
    board = page.locator(".board:visible")
    expect(board).to_have_attribute("data-trace", target.removeprefix("#prompt/"))
    expect(board.locator("svg.main-svg").first).to_be_attached()
    board.locator("select").select_option(index=1)
    expect(page.locator(".board:visible")).not_to_have_attribute(
        "data-trace", target.removeprefix("#prompt/")
    )


def test_the_report_fits_a_phone(browser: Browser, written: Path) -> None:
    """No dashboard is wider than the screen."""
    page, _ = opened(browser, written, **PHONE)
    for name in [str(tab.get_attribute("data-tab")) for tab in page.locator("[data-tab]").all()]:
        page.goto(f"{written.as_uri()}#{name}")
        expect(page.locator(".board:visible svg.main-svg").first).to_be_attached()
        # Not innerWidth: a phone zooms out until a page that is too wide fits.
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_the_report_can_be_of_one_trace(pipeline: Pipeline, told: Told, tmp_path: Path) -> None:
    """An alert's short id is enough to have its prompt in the report."""
    file = tmp_path / "report.html"
    arguments = ("--last", "30m", "--trace", told.alert_id[:8], "-o", str(file))
    result = invoke(pipeline, "report", "--language", "en", *arguments)

    assert result.exit_code == 0, result.output
    html = file.read_text(encoding="utf-8")
    assert html.count('class="board"') == 8
    assert f'data-trace="{told.trace_id}"' in html
    assert "Where the time went" in html


def test_a_time_without_data_says_so(pipeline: Pipeline, told: Told, tmp_path: Path) -> None:
    """Panels of an empty time say that there is nothing."""
    file = tmp_path / "report.html"
    time = ("--from", "2001-01-01T00:00Z", "--to", "2001-01-02T00:00Z")
    result = invoke(pipeline, "report", *time, "-o", str(file))

    assert result.exit_code == 0, result.output
    html = file.read_text(encoding="utf-8")
    assert html.count("这段时间内没有数据") > 50
    assert "data-figure=" not in html


def test_a_trace_is_found_by_each_of_its_ids(pipeline: Pipeline, told: Told) -> None:
    """Trace, prompt, alert and the first digits of an alert lead to the same waterfall."""
    for given in (told.trace_id, told.prompt_id, told.alert_id, told.alert_id[:8]):
        result = invoke(pipeline, "trace", given)
        assert result.exit_code == 0, result.output
        assert told.trace_id in result.output
        assert "node DDColor_Colorize" in result.output
        assert "out_of_memory" in result.output
        assert "Alert delivered to wecom" in result.output


def test_a_trace_as_json(pipeline: Pipeline, told: Told) -> None:
    """A script reads spans with offsets and attributes, and the log lines."""
    facts = json.loads(invoke(pipeline, "trace", told.trace_id, "--json").output)

    assert facts["trace_id"] == told.trace_id
    (failed,) = [span for span in facts["spans"] if span["name"] == "node DDColor_Colorize"]
    assert (failed["outcome"], failed["error_kind"]) == ("failed", "out_of_memory")
    assert failed["attributes"]["ddcolor.image.width"] == 640
    assert any("out_of_memory" in str(line["attributes"]) for line in facts["logs"])


@pytest.mark.parametrize("given", ["0" * 32, "nobody-knows-it", "<script>"])
def test_an_unknown_id_is_said(pipeline: Pipeline, told: Told, given: str) -> None:
    """What is not found is an error that says what was looked for, and no empty picture."""
    result = invoke(pipeline, "trace", given)

    assert result.exit_code == 1
    assert given in result.output
    assert "Traceback" not in result.output
