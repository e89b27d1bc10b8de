"""The command line over a running notifier's HTTP interface."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_operations.notifier.alert import Alert
from ddcolor_operations.notifier.cli import alerts
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.events import AlertLog
from ddcolor_operations.notifier.paths import Beat
from ddcolor_operations.notifier.server import make_app
from ddcolor_operations.notifier.service import Notifier
from ddcolor_operations.receivers import Failure
from tests.support.alerts import alert_json, make_alert
from tests.support.places import Places, places
from tests.support.scripted_http import scripted_server
from tests.support.silent import SilentLogger


class Running:
    """A notifier in a thread, with its places and a way to run the command line on it."""

    def __init__(self, all_places: Places) -> None:
        self.places = all_places
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready, self._stopped = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._main()))

    async def _main(self) -> None:
        retry = {"first_s": 0.01, "cap_s": 0.01, "give_up_after_s": 0}
        config = load_config(self.places.config(retry=retry), {})
        self.notifier = Notifier(config, AlertLog(SilentLogger()))
        await self.notifier.start()
        runner = web.AppRunner(make_app(self.notifier))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._stopped.wait()
        await runner.cleanup()
        await self.notifier.stop()

    def __enter__(self) -> "Running":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        self._loop.close()

    def take(self, alert: Alert) -> None:
        """Hand in an alert."""
        asyncio.run_coroutine_threadsafe(self.notifier.take(alert), self._loop).result(30)

    def beat(self, beat: Beat) -> None:
        """Hand in a heartbeat."""
        asyncio.run_coroutine_threadsafe(self.notifier.beat(beat), self._loop).result(30)

    def __call__(self, *arguments: str) -> Result:
        """Run the command line on the notifier."""
        return CliRunner().invoke(alerts, ["--url", self.url, *arguments])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with places(tmp_path) as all_places, Running(all_places) as notifier:
        yield notifier


def test_list_shows_a_line_for_each_alert_with_its_deliveries(running: Running) -> None:
    """Reference, level, kind, place, and a mark for each channel."""
    running.take(make_alert(1))
    running.take(make_alert(2))
    running.places.wecom.wait_for(1)
    running.places.dingtalk.wait_for(1)

    result = running("list")

    first, second = result.output.splitlines()
    assert first.startswith(make_alert(1).alert_id[:8])
    assert "2  out_of_memory  ddcolor-service/DDColor_Colorize" in first
    assert "wecom" in first
    assert "(+1 held back)" in first
    assert second.endswith("held_back")


def test_list_as_json_is_what_the_notifier_answers(running: Running) -> None:
    """Scripts get every field."""
    running.take(make_alert(1))

    data = json.loads(running("list", "--json", "--since", "1h").output)

    assert data["alerts"][0]["alert_id"] == make_alert(1).alert_id


def test_a_span_that_cannot_be_read_is_the_notifiers_error(running: Running) -> None:
    """The message says what a time looks like."""
    result = running("list", "--since", "soon")

    assert result.exit_code == 1
    assert "'soon' is not a time" in result.output


def test_a_dead_delivery_is_shown_and_revived_by_its_reference(running: Running) -> None:
    """Show says why it died, retry delivers it."""
    running.places.wecom.fail(Failure.status(500))
    running.take(make_alert(1))
    reference = make_alert(1).alert_id[:8]
    running.places.wecom.wait_for_requests(1)
    running.places.dingtalk.wait_for(1)

    result = running("retry", reference)
    while "0 deliveries" in result.output:
        result = running("retry", reference)
    assert result.output == "1 deliveries are tried again\n"
    running.places.wecom.wait_for(1)
    shown = running("show", reference).output
    assert "wecom: " in shown
    assert alert_json()["trace_id"] in shown


def test_retry_wants_one_alert_or_all(running: Running) -> None:
    """Neither and both are wrong usage."""
    assert running("retry").exit_code == 2
    assert running("retry", "--all", "abcd").exit_code == 2
    assert running("retry", "--all").output == "0 deliveries are tried again\n"


def test_an_unknown_reference_is_an_error(running: Running) -> None:
    """Exit code 1 with the notifier's words."""
    result = running("show", "00000000")

    assert (result.exit_code, "no such alert" in result.output) == (1, True)


def test_a_silence_is_started_listed_and_ended(running: Running) -> None:
    """What matches is recorded only, until the silence is over."""
    assert running("silence").output == "no silence is in force\n"
    started = running("silence", "--service", "ddcolor-*", "--for", "2h", "--reason", "driver")
    assert started.output.startswith("silence 1 until ")
    running.take(make_alert(1))

    assert "service=ddcolor-* kind=* rule=*  1 alerts  driver" in running("silence").output
    assert running("silence", "--end", "1").output == "silence 1 is over\n"
    again = running("silence", "--end", "1")
    assert (again.exit_code, "no such silence is in force" in again.output) == (1, True)
    assert json.loads(running("silence", "--json").output) == {"silences": []}
    assert running.places.wecom.requests == 0


def test_a_silence_for_no_span_is_wrong_usage(running: Running) -> None:
    """The error says what a span looks like."""
    result = running("silence", "--kind", "x", "--for", "ever")

    assert result.exit_code == 2
    assert "'ever' is no span" in result.output


def test_without_a_notifier_the_error_says_where_it_was_sought() -> None:
    """No traceback, a way out."""
    result = CliRunner().invoke(alerts, ["--url", "http://127.0.0.1:9", "list"])

    assert result.exit_code == 1
    assert "no notifier at http://127.0.0.1:9: start it, or give --url" in result.output


@pytest.mark.parametrize("token", ["canary\nsecond line", "canary-钥"])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str) -> None:
    """The error says what a token is, and holds nothing of it."""
    result = CliRunner().invoke(alerts, ["open"], env={"DDCOLOR_NOTIFIER_TOKEN": token})

    assert (result.exit_code, "canary" in result.output) == (1, False)
    assert "no header can carry the notifier's token" in result.output


@pytest.mark.parametrize("reference", ["../healthz", "..", "a?b", "a b"])
def test_a_reference_stays_one_part_of_the_address(running: Running, reference: str) -> None:
    """What is no id is refused as one, wherever it would lead."""
    result = running("show", reference)

    assert result.exit_code == 1
    assert "is not 4 to 32 lower-case hex digits" in result.output


def test_a_time_before_the_calendar_is_wrong_usage(running: Running) -> None:
    """No traceback for a span that nobody can mean."""
    result = running("list", "--since", "999999d")

    assert (result.exit_code, "before the calendar begins" in result.output) == (2, True)


@pytest.mark.parametrize("kind", CATALOGUE)
def test_preview_shows_every_kind_of_fault(kind: str) -> None:
    """All formats, nothing sent."""
    result = CliRunner().invoke(alerts, ["preview", kind, "--json"])

    data = json.loads(result.output)
    assert set(data) == {
        *("wecom", "wecom_v2", "dingtalk", "dingtalk_card", "mail", "sms", "plain")
    }
    assert CATALOGUE[kind].title.zh in data["wecom"]["body"]


@pytest.mark.parametrize(
    ("occasion", "text"),
    [
        ("escalation", "已 15 分钟无人确认"),
        ("digest", "告警汇总：7 条"),
        ("morning", "免打扰时段内的告警"),
        ("quiet", "已平息"),
        ("resolved", "已恢复"),
    ],
)
def test_preview_shows_what_else_is_said_of_an_alert(occasion: str, text: str) -> None:
    """Every template that an operator may edit can be looked at."""
    result = CliRunner().invoke(
        alerts, ["preview", "out_of_memory", "--occasion", occasion, "--json"]
    )

    for format_, message in json.loads(result.output).items():
        whole = message["title"] + message["body"]
        assert text in whole, format_


def test_preview_of_a_rule_has_its_level_and_the_configured_language(tmp_path: Path) -> None:
    """The rule file's own kind and level, the notifier file's language and Kibana."""
    config = tmp_path / "n.yaml"
    config.write_text("language: en\nkibana_url: http://kibana.example.com", encoding="utf-8")

    result = CliRunner().invoke(
        alerts,
        ["preview", "keyword_model_not_loaded", "--config", str(config), "--format", "wecom"],
    )

    assert "Critical: A model could not be loaded" in result.output
    assert "http://kibana.example.com/app/discover" in result.output


def test_preview_of_nothing_lists_what_there_is() -> None:
    """Rules and kinds are named."""
    result = CliRunner().invoke(alerts, ["preview", "nonsense"])

    assert result.exit_code == 1
    assert "out_of_memory" in result.output


def test_preview_of_the_heartbeats_rule_says_that_it_makes_no_message() -> None:
    """It is not called broken."""
    result = CliRunner().invoke(alerts, ["preview", "chain_heartbeat"])

    assert result.exit_code == 1
    assert "sends heartbeats and no alert" in result.output


def test_ack_takes_a_fault_on_by_reference_or_name(running: Running) -> None:
    """Who took it, after how long; a second time names the first; what is over is an error."""
    running.take(make_alert(1, level=3))
    reference = make_alert(1).alert_id[:8]

    first = running("ack", reference, "--by", "zhang", "--note", "looking")
    second = running("ack", "ddcolor-service/out_of_memory", "--by", "li")
    wrong = running("ack", "ddcolor-service/decode_failed")

    assert first.output.startswith(
        f"{reference}  ddcolor-service  out_of_memory  is taken on by zhang at "
    )
    assert first.output.rstrip().endswith(" s (looking)")
    assert "was taken on before, by zhang at" in second.output
    assert (wrong.exit_code, "nothing to acknowledge" in wrong.output) == (1, True)
    assert "acknowledged by zhang at" in running("show", reference).output
    data = json.loads(running("ack", reference, "--json").output)
    assert data["acknowledged"][0]["by"] == "zhang"


def test_ack_works_for_a_user_without_a_name(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may run as a number that no file knows."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", unknown)
    running.take(make_alert(1, level=3))

    result = running("ack", make_alert(1).alert_id[:8])
    assert "is taken on by somebody at " in result.output


def test_open_lists_what_is_not_over_and_who_takes_care(running: Running) -> None:
    """Loudest first; what nobody has taken on before what somebody has."""
    assert running("open").output == "no fault is open\n"
    running.take(make_alert(1, level=2))
    running.take(make_alert(2, level=3, service="one"))
    running.take(make_alert(3, level=3, service="two"))
    running.take(make_alert(4, level=3, service="one"))
    running("ack", "one/out_of_memory", "--by", "zhang")

    lines = running("open").output.splitlines()
    assert [line.split("  ")[2] for line in lines] == [
        "two/out_of_memory",
        "one/out_of_memory",
        "ddcolor-service/out_of_memory",
    ]
    assert "2 since " in lines[1]
    assert lines[1].endswith("taken on by zhang")
    assert lines[0].endswith("nobody takes care of it")
    data = json.loads(running("open", "--json").output)
    assert [one["acknowledged"] is None for one in data["episodes"]] == [True, False, True]


def test_beats_shows_and_forgets_paths(running: Running) -> None:
    """Which are alive, and none when nothing has beaten."""
    assert "no heartbeat has come" in running("beats").output
    now = datetime.now(UTC)
    running.beat(Beat("watcher", "ddcolor-service", now))

    assert running("beats").output.startswith("alive   watcher  last heartbeat of ddcolor-service")
    assert json.loads(running("beats", "--json").output)["paths"]["watcher"]["silent"] is False
    assert "is expected any more" in running("beats", "--forget", "watcher").output
    assert running("beats", "--forget", "watcher").exit_code == 1


def test_the_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """And never from an argument, which other users of the machine can read."""
    (tmp_path / "token").write_text("canary-token\n", encoding="utf-8")

    with scripted_server() as server:
        server.script("GET /silences", (200, {"silences": []}))
        for arguments, environment in (
            (["--token-file", str(tmp_path / "token")], {}),
            ([], {"DDCOLOR_NOTIFIER_TOKEN_FILE": str(tmp_path / "token")}),
            ([], {"DDCOLOR_NOTIFIER_TOKEN": "canary-token"}),
        ):
            result = CliRunner().invoke(
                alerts, ["--url", server.url, *arguments, "silence"], env=environment
            )
            assert result.exit_code == 0, result.output
        CliRunner().invoke(alerts, ["--url", server.url, "silence"])

    given = [asked.headers.get("Authorization") for asked in server.asked]
    assert given == ["Bearer canary-token"] * 3 + [None]


def test_check_config_says_what_it_does_or_what_is_wrong(tmp_path: Path) -> None:
    """Exit status 1 with file, line and key; else who hears of what, for people and scripts."""
    config = tmp_path / "n.yaml"
    config.write_text("language: zh\nrouting:\n  levls: {}\n", encoding="utf-8")
    wrong = CliRunner().invoke(alerts, ["check-config", str(config)])
    assert wrong.exit_code == 1
    assert f"{config}:3: routing.levls: unknown setting: did you mean 'levels'?" in wrong.output

    config.write_text("language: zh\n", encoding="utf-8")
    good = CliRunner().invoke(alerts, ["check-config", str(config)])
    assert good.exit_code == 0
    assert "level 3: record" in good.output
    assert "warning: level 3 is only recorded: nobody hears of it" in good.output
    data = json.loads(CliRunner().invoke(alerts, ["check-config", str(config), "--json"]).output)
    assert data["levels"] == {"1": ["record"], "2": ["record"], "3": ["record"]}


def test_check_config_reads_the_operators_words_too(tmp_path: Path) -> None:
    """A placeholder that does not exist would fail only when the text is first needed."""
    (tmp_path / "zh.yaml").write_text("texts: {times: '{count} 次'}", encoding="utf-8")
    config = tmp_path / "n.yaml"
    config.write_text("templates_dir: .\n", encoding="utf-8")

    result = CliRunner().invoke(alerts, ["check-config", str(config)])

    assert (result.exit_code, "texts.times" in result.output) == (1, True)
