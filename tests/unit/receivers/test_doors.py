"""The receivers beside the robots refuse what the real ones refuse."""

import json
import time
from typing import Any

import pytest

from ddcolor_operations.notifier.channels.cloud_signing import acs3_headers, canonical_query
from ddcolor_operations.notifier.signing import signed_headers
from ddcolor_operations.receivers import AlertmanagerDoor, AliyunGateway, HealerDoor, WebhookDoor
from ddcolor_operations.receivers.http import Answer, Request

NOW = time.time()


def request(body: Any, headers: dict[str, str] | None = None) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request((), headers or {}, data)


def signed(body: Any, key: str = "secret") -> Request:
    data = json.dumps(body).encode()
    return Request((), signed_headers(key, NOW, data), data)


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "labels": {"alertname": "x"},
        "annotations": {},
        "startsAt": "2026-03-01T12:00:00Z",
        "endsAt": "2999-03-01T12:00:00Z",
        **changes,
    }


ASKED = {"alert_id": "1", "kind": "k", "service": "s", "level": 3, "occurred_at": "now"}


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (signed(ASKED), 202),
        (signed(ASKED, "other"), 401),
        (request(ASKED), 401),
        (signed({**ASKED, "photo": "p"}), 400),
        (signed([]), 400),
    ],
)
def test_the_healer_takes_only_what_is_signed_and_complete(asked: Request, status: int) -> None:
    """Nobody else may restart a service."""
    answer = HealerDoor("secret", clock=lambda: NOW).handle(asked)

    assert answer.status == status


def test_the_healer_acts_once_on_an_alert() -> None:
    """The second request for it is answered well and kept once."""
    door = HealerDoor("secret", clock=lambda: NOW)

    assert [door.handle(signed(ASKED)).status for _ in range(2)] == [202, 202]
    assert len(door.received) == 1


@pytest.mark.parametrize(("asked", "status"), [(request({"id": "1"}), 401), (signed({}), 400)])
def test_the_webhook_refuses_what_is_not_signed_or_has_no_id(asked: Request, status: int) -> None:
    """An id is by what it knows a repeat."""
    answer = WebhookDoor("secret", clock=lambda: NOW).handle(asked)

    assert isinstance(answer, Answer)
    assert answer.status == status


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ([alert()], 200, None),
        (b"{", 400, "parsing"),
        ({}, 422, "array"),
        ([alert(labels={})], 400, "at least one label"),
        ([alert(labels={"alertname": "x", "my-label": "y"})], 400, "my-label"),
        ([alert(startsAt="yesterday")], 400, "invalid time"),
        ([alert(startsAt="2999-04-01T12:00:00Z")], 400, "start time"),
    ],
)
def test_alertmanager_refuses_what_the_real_one_does(
    body: Any, status: int, said: str | None
) -> None:
    """Labels, times and shape are checked; an empty answer is success."""
    answer = AlertmanagerDoor().handle(request(body))

    assert answer.status == status
    assert (said or "null") in json.dumps(answer.data)


def aliyun(**changes: Any) -> Request:
    """Return a request as Aliyun wants it, with ``changes`` to what is signed."""
    query = {
        "PhoneNumbers": "13800000000",
        "SignName": "s",
        "TemplateCode": "T",
        "TemplateParam": '{"a": "b"}',
        **changes.pop("query", {}),
    }
    facts = {
        "key_id": "KEY",
        "key_secret": "secret",
        "host": "h",
        "path": "/aliyun/",
        "query": canonical_query(query),
        "action": "SendSms",
        "version": "2017-05-25",
        "nonce": "n",
        "now": NOW,
    }
    return Request(tuple(query.items()), acs3_headers(**{**facts, **changes}), b"")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (aliyun(), "OK"),
        (aliyun(key_secret="other"), "SignatureDoesNotMatch"),
        (aliyun(key_id="other"), "SignatureDoesNotMatch"),
        (aliyun(now=NOW - 1000), "InvalidTimeStamp.Expired"),
        (aliyun(action="SendBatchSms"), "InvalidAction.NotFound"),
        (aliyun(query={"PhoneNumbers": "12"}), "isv.MOBILE_NUMBER_ILLEGAL"),
        (aliyun(query={"SignName": ""}), "isv.INVALID_PARAMETERS"),
        (aliyun(query={"TemplateParam": "{"}), "isv.INVALID_JSON_PARAM"),
        (aliyun(query={"TemplateParam": '{"a": "%s"}' % ("x" * 36)}), "isv.PARAM_LENGTH_LIMIT"),
        (request({}), "MissingParameter"),
    ],
)
def test_aliyun_checks_signature_and_parameters(asked: Request, code: str) -> None:
    """With the codes of its documentation."""
    answer = AliyunGateway("KEY", "secret", clock=lambda: NOW).handle(asked)

    data = answer.data if isinstance(answer, Answer) else answer
    assert data["Code"] == code


def test_aliyun_takes_a_nonce_once() -> None:
    """A request that was caught cannot be sent again."""
    gateway = AliyunGateway("KEY", "secret", clock=lambda: NOW)
    gateway.handle(aliyun())

    again = gateway.handle(aliyun())
    assert isinstance(again, Answer)
    assert again.data["Code"] == "SignatureNonceUsed"
