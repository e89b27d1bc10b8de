"""Channels that hand on data: healer, webhook, Alertmanager, the SMS providers, Apprise."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import (
    Blocked,
    Delivered,
    GiveUp,
    Message,
    Outcome,
    Retry,
    Subject,
)
from ddcolor_operations.notifier.occasions import Episode, Escalation
from ddcolor_operations.notifier.secrets import readers
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.receivers import Failure
from tests.support.alerts import NOON, make_alert, make_item, make_renderer
from tests.support.more_places import MORE_CANARIES, NAMES, MorePlaces, more_places

ALERT = make_alert(1, level=3, service="ddcolor-service", trace_id=None)


def message(**changes: Any) -> Message:
    """Return the message of one critical alert."""
    made = make_renderer().render([make_item(1, level=3)], "plain", 4096, NOON.timestamp())
    return replace(made, **changes)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[MorePlaces]:
    with more_places(tmp_path) as running:
        yield running


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_is_taken_by_a_place_that_checks_everything(
    places: MorePlaces, name: str
) -> None:
    """Signature, fields and lengths are those that the place demands."""
    assert await places.channel(name).send(message()) == Delivered()

    assert len(places.receivers[name].received) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Failure.status(500), Retry("HTTP 500")),
        (Failure.status(504), Retry("HTTP 504", maybe_sent=True)),
        (Failure.status(413), GiveUp("HTTP 413: too large")),
        (Failure.status(429), Blocked("HTTP 429", 60.0)),
        (Failure.hang_up(), Retry("connection lost: ServerDisconnectedError", maybe_sent=True)),
    ],
)
async def test_http_failures_are_classed(
    places: MorePlaces, name: str, failure: Failure, outcome: Outcome
) -> None:
    """As those of the robots are."""
    places.receivers[name].fail(failure)

    assert await places.channel(name).send(message()) == outcome


@pytest.mark.parametrize("name", NAMES)
async def test_silence_has_an_unknown_fate(places: MorePlaces, name: str) -> None:
    """The message may have arrived."""
    places.receivers[name].fail(Failure.silence())

    outcome = await places.channel(name, timeout_s=0.2).send(message())

    assert outcome == Retry("no answer within the time limit", maybe_sent=True)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("heal", "heal.secret"),
        ("webhook", "hook.secret"),
        ("aliyun_sms", "aliyun.secret"),
        ("tencent_sms", "tencent.secret"),
    ],
)
async def test_a_wrong_secret_can_be_corrected_and_no_outcome_holds_one(
    places: MorePlaces, name: str, secret: str
) -> None:
    """The next try reads the file again."""
    channel, right = places.channel(name), (places.folder / secret).read_text(encoding="utf-8")
    (places.folder / secret).write_text("canary-wrong", encoding="utf-8")

    outcome = await channel.send(message())
    assert isinstance(outcome, Retry)
    assert not outcome.maybe_sent
    assert not [c for c in (*MORE_CANARIES, "canary-wrong") if c in repr((outcome, channel))]

    (places.folder / secret).write_text(right, encoding="utf-8")
    assert await channel.send(message()) == Delivered()


@pytest.mark.parametrize("name", NAMES)
async def test_a_secret_that_is_gone_is_a_reason_to_try_again(
    places: MorePlaces, name: str
) -> None:
    """Somebody is just replacing it."""
    channel = places.channel(name)
    for file in places.folder.iterdir():
        file.unlink()

    outcome = await channel.send(message())

    assert isinstance(outcome, Retry)
    assert "create it" in outcome.error


async def test_a_healer_is_told_what_is_needed_and_nothing_of_the_photo(
    places: MorePlaces,
) -> None:
    """Five fields, and acted on once."""
    for _ in range(2):
        assert await places.channel("heal").send(message()) == Delivered()

    (asked,) = places.receivers["heal"].received
    assert asked.details == {
        "alert_id": make_alert(1).alert_id,
        "kind": "out_of_memory",
        "service": "ddcolor-service",
        "level": 3,
        "occurred_at": "2026-03-01T12:00:00.000000Z",
    }


def test_a_healer_gets_each_fault_soon_or_never_and_no_end(places: MorePlaces) -> None:
    """A restart that is asked for an hour later hits a service that is well."""
    channel = places.channel("heal", kinds=["inference_timeout"])

    assert (channel.digests, channel.hears_end, channel.give_up_after_s) == (False, False, 300)
    assert channel.heals == frozenset({"inference_timeout"})
    assert places.channel("heal").heals == frozenset({"out_of_memory", "output_damaged"})


async def test_a_webhook_carries_text_and_data(places: MorePlaces) -> None:
    """The default body has the message, each alert, and why it is sent."""
    subjects = (
        Subject(ALERT, held_before=4),
        Subject(ALERT, occasion=Escalation(1, 0, 3)),
        Subject(ALERT, occasion=Episode(0, 5, 3)),
        Subject(ALERT, occasion=Episode(0, 5, 3, resolved=True)),
    )
    assert await places.channel("webhook").send(message(subjects=subjects)) == Delivered()

    (received,) = places.receivers["webhook"].received
    body = received.details["body"]
    assert [alert["state"] for alert in body["alerts"]] == [
        *("firing", "escalated", "quiet", "resolved")
    ]
    assert body["alerts"][0]["held_before"] == 4
    assert body["alerts"][0]["alert_id"] == ALERT.alert_id
    assert (body["level"], body["id"]) == (3, message().key)


async def test_a_webhooks_body_is_the_operators(places: MorePlaces) -> None:
    """A template over the same values, quotes and line breaks escaped."""
    template = '{"id": {{ id | tojson }}, "text": {{ (facts.title ~ "\\n" ~ title) | tojson }}}'
    assert await places.channel("webhook", body=template).send(message()) == Delivered()

    (received,) = places.receivers["webhook"].received
    assert received.text == "显存或内存不足\n[严重] 显存或内存不足 · ddcolor-service"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("{{ titel }}", "webhook.body: 'titel' is undefined: it may use id, level, title"),
        ("{% if %}", "webhook.body: "),
        ("{{ alerts[0].nme | tojson }}", "webhook.body: "),
    ],
)
def test_a_body_that_could_not_be_filled_is_refused_at_once(
    places: MorePlaces, body: str, error: str
) -> None:
    """Not at three in the morning."""
    with pytest.raises(ConfigError, match=error):
        places.channel("webhook", body=body)


async def test_alertmanager_is_told_the_beginning_and_the_end_of_the_same_alert(
    places: MorePlaces,
) -> None:
    """Equal labels; firing ends in the future, resolved ends now."""
    channel = places.channel("alertmanager")
    over = (Subject(ALERT, occasion=Episode(NOON.timestamp(), NOON.timestamp() + 60, 7)),)
    assert await channel.send(message()) == Delivered()
    assert await channel.send(message(subjects=over)) == Delivered()

    first, second = (one.details for one in places.receivers["alertmanager"].received)
    assert first["labels"] == second["labels"]
    assert first["labels"] == {
        "alertname": "out_of_memory",
        "service": "ddcolor-service",
        "level": "3",
        "severity": "critical",
    }
    assert (first["firing"], second["firing"]) == (True, False)
    assert second["annotations"]["count"] == "7"
    assert first["generatorURL"].startswith("https://kibana.example.com/")


async def test_alertmanager_never_gets_an_alert_that_ends_before_it_starts(
    places: MorePlaces,
) -> None:
    """A service whose clock is ahead is no reason to lose its alert."""
    ahead = Subject(make_alert(1, occurred_at="2999-01-01T00:00:00Z"))
    assert await places.channel("alertmanager").send(message(subjects=(ahead,))) == Delivered()

    (received,) = places.receivers["alertmanager"].received
    assert datetime.fromisoformat(received.details["startsAt"]).year < 2999


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(400, GiveUp("HTTP 400: scripted")), (401, Retry("HTTP 401")), (404, Retry("HTTP 404"))],
)
async def test_alertmanagers_refusals_are_classed(
    places: MorePlaces, number: int, outcome: Outcome
) -> None:
    """What it cannot read it never will; an address or a login can be corrected."""
    places.receivers["alertmanager"].fail(Failure.code(number))

    assert await places.channel("alertmanager").send(message()) == outcome


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("aliyun_sms", "isv.BUSINESS_LIMIT_CONTROL", Blocked),
        ("aliyun_sms", "isv.MOBILE_NUMBER_ILLEGAL", GiveUp),
        ("aliyun_sms", "isv.PARAM_LENGTH_LIMIT", GiveUp),
        ("aliyun_sms", "isv.SMS_TEMPLATE_ILLEGAL", Retry),
        ("aliyun_sms", "isv.OUT_OF_SERVICE", Retry),
        ("aliyun_sms", "SignatureDoesNotMatch", Retry),
        ("tencent_sms", "LimitExceeded.PhoneNumberThirtySecondLimit", Blocked),
        ("tencent_sms", "RequestLimitExceeded", Blocked),
        ("tencent_sms", "FailedOperation.ContainSensitiveWord", GiveUp),
        ("tencent_sms", "InvalidParameterValue.TemplateParameterLengthLimit", GiveUp),
        ("tencent_sms", "FailedOperation.InsufficientBalanceInSmsPackage", Retry),
        ("tencent_sms", "AuthFailure.SignatureExpire", Retry),
    ],
)
async def test_a_providers_code_counts_not_its_http_status(
    places: MorePlaces, name: str, code: str, kind: type[object]
) -> None:
    """What can be corrected is tried again; what cannot, is not."""
    places.receivers[name].fail(Failure.code(0, code))

    outcome = await places.channel(name).send(message())

    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Delivered)
    assert outcome.error.startswith(code)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("aliyun_sms", '{"what": "严重 显存或内存不足", "where": "ddcolor-service"}'),
        ("tencent_sms", '["显存或内存不足", "ddcolor-ser…", "1 次"]'),
    ],
)
async def test_an_sms_has_short_variables(places: MorePlaces, name: str, text: str) -> None:
    """No longer than the provider takes, in the order or by the names of its template."""
    await places.channel(name).send(message())

    (received,) = places.receivers[name].received
    assert received.text == text
    assert received.details["id"] == message().key


@pytest.mark.parametrize("said", [[], ["Ok"], [None], "Ok", {"Code": "Ok"}])
async def test_an_answer_that_is_not_the_providers_has_an_unknown_fate(
    places: MorePlaces, monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    """Something between us answered: the message may have arrived."""
    answer = {"Response": {"SendStatusSet": said}}
    monkeypatch.setattr(places.receivers["tencent_sms"], "handle", lambda _: answer)

    outcome = await places.channel("tencent_sms").send(message())

    assert isinstance(outcome, Retry)
    assert outcome.maybe_sent


async def test_numbers_that_were_served_are_not_served_again(places: MorePlaces) -> None:
    """One number of two is wrong: the message is delivered, and the note says so."""
    channel = places.channel("tencent_sms", to=["+8613800000000", "12"])

    assert await channel.send(message()) == Delivered(
        "1 of 2 numbers were refused: InvalidParameterValue.IncorrectPhoneNumber"
    )


@pytest.mark.parametrize("name", ["aliyun_sms", "tencent_sms"])
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"to": []}, "to: at least one number"),
        ({"endpoint": "ftp://x"}, "endpoint: 'ftp://x' is no http address"),
        ({"endpoint": "http://[x"}, r"endpoint: 'http://\[x' is no http address"),
        ({"sign_name": ""}, "sign_name: a text is needed"),
    ],
)
def test_a_provider_without_what_it_needs_is_refused_at_once(
    places: MorePlaces, name: str, changes: dict[str, Any], error: str
) -> None:
    """With the name of the setting."""
    with pytest.raises(ConfigError, match=f"{name}.{error}"):
        places.channel(name, **changes)


def apprise(folder: Path, url: str, **changes: Any) -> Any:
    (folder / "apprise.url").write_text(url, encoding="utf-8")
    data = {"url": {"file": "apprise.url"}, **changes}
    section = Section(data, "channels.apprise", base=folder, secrets=readers(folder))
    return make_channel("apprise", section)


async def test_apprise_sends_to_its_address(places: MorePlaces, tmp_path: Path) -> None:
    """A JSON webhook of Apprise's own; a failure may have been sent."""
    hook = places.receivers["alertmanager"]
    port = json.loads((tmp_path / "base.url").read_text(encoding="utf-8").rpartition(":")[2])
    channel = apprise(tmp_path, f"json://127.0.0.1:{port}{hook.path}?method=POST")
    hook.fail(Failure.status(200))
    hook.fail(Failure.status(500))

    assert await channel.send(message()) == Delivered()
    assert await channel.send(message()) == Retry("Apprise did not deliver", maybe_sent=True)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("wecombot://botkey", "for wecombot:// use a channel of type wecom"),
        ("dingtalk://secret@token/13800000000", "use a channel of type dingtalk"),
        ("nonsense", "reads 0 addresses there: give exactly one"),
        ("json://a, json://b", "reads 2 addresses there: give exactly one"),
    ],
)
def test_apprise_is_refused_what_it_does_badly(tmp_path: Path, url: str, error: str) -> None:
    """And what would make a second try reach some people twice."""
    with pytest.raises(ConfigError, match=f"channels.apprise.url: .*{error}"):
        apprise(tmp_path, url)


async def test_apprise_logs_no_address(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither one that it cannot read nor one that does not answer."""
    caplog.set_level(0)
    with pytest.raises(ConfigError) as caught:
        apprise(tmp_path, "nonsense://canary-apprise")
    channel = apprise(tmp_path, "json://user:canary-apprise@127.0.0.1:9/x", timeout_s=5)
    outcome = await channel.send(message())

    assert outcome == Retry("Apprise did not deliver", maybe_sent=True)
    out, err = capfd.readouterr()
    assert "canary-apprise" not in out + err + caplog.text + str(caught.value) + repr(channel)


def test_apprise_that_is_not_installed_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra that brings it."""
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(ConfigError, match=r"pip install 'ddcolor-observability\[apprise\]'"):
        apprise(tmp_path, "json://127.0.0.1")
