"""Each channel against a receiver that behaves, refuses, or is silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ddcolor_operations.notifier.channels import make_channel
from ddcolor_operations.notifier.channels.base import (
    Blocked,
    Channel,
    Delivered,
    GiveUp,
    Message,
    Retry,
)
from ddcolor_operations.notifier.channels.dingtalk import sign
from ddcolor_operations.notifier.config import load_config
from ddcolor_operations.notifier.secrets import readers
from ddcolor_operations.notifier.settings import Section
from ddcolor_operations.receivers import Failure, MailReceiver, Receiver, SmsGateway, serve
from ddcolor_operations.receivers.http import Request
from tests.support.places import CANARIES, Places, places
from tests.support.tls import CERTIFICATE, server_context

MESSAGE = Message("title", "### body\nline", 2, "0123456789abcdef", html="<p>body</p>")
LOUD = Message("title", "body", 3, "0123456789abcdef", html="<p>body</p>")


@pytest.fixture
def all_places(tmp_path: Path) -> Iterator[Places]:
    with places(tmp_path) as running:
        yield running


def channel(all_places: Places, name: str, timeout_s: float = 5.0) -> Channel:
    return load_config(all_places.config(timeout_s=timeout_s), {}).channels[name]


def section(folder: Path, **settings: Any) -> Section:
    return Section(settings, "channel", base=folder, secrets=readers(folder))


def receiver(all_places: Places, name: str) -> Receiver:
    return next(place for place in all_places.all if place.name == name)


ALL = ("wecom", "dingtalk", "sms", "mail")
HTTP = ("wecom", "dingtalk", "sms")


@pytest.mark.parametrize("name", ALL)
async def test_a_message_arrives_as_it_was_given(all_places: Places, name: str) -> None:
    """One message, confirmed, with its text."""
    assert await channel(all_places, name).send(MESSAGE) == Delivered()

    (received,) = receiver(all_places, name).received
    assert received.text.strip() == MESSAGE.body


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Failure.status(500), Retry("HTTP 500")),
        (Failure.status(503), Retry("HTTP 503")),
        (Failure.status(504), Retry("HTTP 504", maybe_sent=True)),
        (Failure.status(404), Retry("HTTP 404")),
        (Failure.status(302), Retry("HTTP 302")),
        (Failure.status(413), GiveUp("HTTP 413: too large")),
        (Failure.status(429), Blocked("HTTP 429", 60.0)),
        (Failure.hang_up(), Retry("connection lost: ServerDisconnectedError", maybe_sent=True)),
    ],
)
async def test_http_failures_are_classed(
    all_places: Places, name: str, failure: Failure, outcome: object
) -> None:
    """What may have been sent is told apart from what was refused for certain."""
    receiver(all_places, name).fail(failure)

    assert await channel(all_places, name).send(MESSAGE) == outcome


@pytest.mark.parametrize("name", HTTP)
async def test_silence_ends_at_the_time_limit_with_an_unknown_fate(
    all_places: Places, name: str
) -> None:
    """The message may have arrived."""
    receiver(all_places, name).fail(Failure.silence())

    outcome = await channel(all_places, name, timeout_s=0.2).send(MESSAGE)

    assert outcome == Retry("no answer within the time limit", maybe_sent=True)


@pytest.mark.parametrize(
    ("name", "code", "kind", "seconds"),
    [
        ("wecom", 45009, Blocked, 60),
        ("wecom", 93000, Retry, None),
        ("wecom", 40058, GiveUp, None),
        ("wecom", 40008, GiveUp, None),
        ("wecom", -1, Retry, None),
        ("wecom", 99999, Retry, None),
        ("dingtalk", 130101, Blocked, 600),
        ("dingtalk", 310000, Retry, None),
        ("dingtalk", 300005, Retry, None),
        ("dingtalk", 460101, GiveUp, None),
        ("dingtalk", -1, Retry, None),
    ],
)
async def test_a_robots_errcode_counts_not_its_http_status(
    all_places: Places, name: str, code: int, kind: type[object], seconds: float | None
) -> None:
    """HTTP 200 with an errcode is a failure of the class that the code deserves."""
    receiver(all_places, name).fail(Failure.code(code, "scripted"))

    outcome = await channel(all_places, name).send(MESSAGE)

    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Delivered)
    assert outcome.error.startswith(f"errcode {code}: scripted")
    if isinstance(outcome, Blocked):
        assert outcome.seconds == seconds
    if isinstance(outcome, Retry):
        assert not outcome.maybe_sent


async def test_a_robots_text_is_redacted(all_places: Places) -> None:
    """WeCom's errmsg names the sender's address; the outcome does not."""
    all_places.wecom.fail(Failure.code(45009))

    outcome = await channel(all_places, "wecom").send(MESSAGE)

    assert "203.0.113.7" not in repr(outcome)
    assert "from ip:" in repr(outcome)


@pytest.mark.parametrize("name", HTTP)
async def test_a_server_that_is_gone_is_a_certain_failure(tmp_path: Path, name: str) -> None:
    """Nothing was sent, and neither address nor key is in the error."""
    with places(tmp_path) as gone:
        made = channel(gone, name)

    assert await made.send(MESSAGE) == Retry("no connection: Connection refused")


@pytest.mark.parametrize(
    "url", ["not a url canary", "http://", "http://[canary/x", "ftp://canary/x", "http://canary:x/"]
)
@pytest.mark.parametrize("name", ["wecom", "dingtalk"])
async def test_a_webhook_that_is_no_url_is_not_repeated(
    tmp_path: Path, name: str, url: str
) -> None:
    """A mistyped secret is still a secret."""
    (tmp_path / "hook").write_text(url, encoding="utf-8")
    (tmp_path / "sign").write_text("SEC", encoding="utf-8")
    extra = {"signing_secret": {"file": "sign"}} if name == "dingtalk" else {}
    made = make_channel(name, section(tmp_path, webhook={"file": "hook"}, **extra))

    outcome = await made.send(MESSAGE)

    assert isinstance(outcome, Retry)
    assert "canary" not in repr(outcome)


@contextlib.asynccontextmanager
async def raw_server(*pieces: bytes, tls: bool = False) -> AsyncIterator[int]:
    """Answer each connection with ``pieces``, one after the other, and yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    context = server_context() if tls else None
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def wecom_at(folder: Path, url: str) -> Channel:
    (folder / "hook").write_text(url, encoding="utf-8")
    return make_channel("wecom", section(folder, webhook={"file": "hook"}))


async def test_an_answer_in_two_pieces_is_read_whole(tmp_path: Path) -> None:
    """Half an answer would look like a message of unknown fate, and be sent again."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n"
    async with raw_server(head + b'{"errcode":0,', b'"errmsg":"ok"} ') as port:
        outcome = await wecom_at(tmp_path, f"http://127.0.0.1:{port}/?key=k").send(MESSAGE)

    assert outcome == Delivered()


async def test_an_endless_answer_is_cut_off(tmp_path: Path) -> None:
    """A wrong server cannot fill the memory."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    async with raw_server(head + b"x" * 200_000) as port:
        outcome = await wecom_at(tmp_path, f"http://127.0.0.1:{port}/?key=k").send(MESSAGE)

    assert outcome == Retry("HTTP 200 without an errcode: not a robot's answer", maybe_sent=True)


async def test_a_certificate_that_is_not_trusted_is_named_as_such(tmp_path: Path) -> None:
    """It is neither a wrong URL nor a message that may have been sent."""
    async with raw_server(tls=True) as port:
        outcome = await wecom_at(tmp_path, f"https://127.0.0.1:{port}/?key=k").send(MESSAGE)

    assert outcome == Retry("the server's certificate is not trusted")


async def test_a_server_without_tls_is_named_as_such(tmp_path: Path) -> None:
    """The handshake failed, nothing was sent."""
    async with raw_server(b"hello\r\n") as port:
        outcome = await wecom_at(tmp_path, f"https://127.0.0.1:{port}/?key=k").send(MESSAGE)

    assert isinstance(outcome, Retry)
    assert not outcome.maybe_sent


async def test_a_name_that_does_not_exist_is_named_as_such(tmp_path: Path) -> None:
    """The host's name itself is not repeated."""
    outcome = await wecom_at(tmp_path, "http://canary.invalid/?key=k").send(MESSAGE)

    assert outcome == Retry("no connection: the host's name was not found")


async def test_a_secret_that_disappears_is_a_retry(all_places: Places) -> None:
    """The message waits until the file is back."""
    made = channel(all_places, "wecom")
    (all_places.folder / "wecom.webhook").unlink()

    outcome = await made.send(MESSAGE)

    assert isinstance(outcome, Retry)
    assert "No such file" in outcome.error


async def test_dingtalk_signs_each_request_afresh(all_places: Places) -> None:
    """The second message carries one signature, its own."""
    made = channel(all_places, "dingtalk")

    assert [await made.send(MESSAGE) for _ in range(2)] == [Delivered(), Delivered()]


def test_an_old_signature_in_the_webhook_is_replaced() -> None:
    """A webhook that was copied with a signature does not get a second one."""
    url = sign("https://example.com/robot/send?access_token=T&timestamp=1&sign=x", "SEC", 1234)

    assert url.count("timestamp=") == 1
    assert url.count("sign=") == 1
    assert "access_token=T" in url


async def test_an_sms_body_is_made_from_the_operators_template(all_places: Places) -> None:
    """Form fields for a gateway that takes no JSON, and its success by HTTP status alone."""
    received: list[bytes] = []

    class Form(SmsGateway):
        def handle(self, request: Request) -> dict[str, Any]:
            received.append(request.body)
            return {}

    gateway = Form("unused")
    with serve(gateway) as server:
        (all_places.folder / "form.url").write_text(server.url(gateway), encoding="utf-8")
        made = make_channel(
            "sms",
            section(
                all_places.folder,
                url={"file": "form.url"},
                to=["1", "2"],
                content_type="application/x-www-form-urlencoded",
                body="to={{ phones | join(',') }}&msg={{ text | urlencode }}",
            ),
        )
        outcome = await made.send(Message("t", "严重 & more", 3, "k"))

    assert outcome == Delivered()
    assert received == [b"to=1,2&msg=%E4%B8%A5%E9%87%8D%20%26%20more"]


async def test_a_gateway_that_refuses_is_believed(all_places: Places) -> None:
    """HTTP 200 with another code than the configured one is no success."""
    all_places.sms.fail(Failure.code(7))

    outcome = await channel(all_places, "sms").send(MESSAGE)

    assert outcome == Retry("the answer says code=E7")


async def test_a_mail_has_two_parts_and_the_same_id_for_each_try(all_places: Places) -> None:
    """A mail store can drop the second of two equal mails."""
    made = channel(all_places, "mail")
    await made.send(MESSAGE)
    await made.send(MESSAGE)

    first, second = all_places.mail.received
    assert first.details["message_id"] == second.details["message_id"]
    assert first.details["message_id"] == "<0123456789abcdef@ddcolor-notifier>"
    assert first.details["html"].strip() == "<p>body</p>"


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Failure.status(451), Retry("SMTP 451: refused by the server")),
        (Failure.status(554), GiveUp("SMTP 554: refused by the server")),
        (Failure.hang_up(), Retry("SMTP: SMTPServerDisconnected", maybe_sent=True)),
        (Failure.swallow(), Retry("SMTP: SMTPServerDisconnected", maybe_sent=True)),
    ],
)
async def test_mail_failures_are_classed(
    all_places: Places, failure: Failure, outcome: object
) -> None:
    """4xx is tried again, 5xx is not, a lost connection may have been too late."""
    all_places.mail.fail(failure)

    assert await channel(all_places, "mail").send(MESSAGE) == outcome


async def test_a_silent_mail_server_ends_at_the_time_limit(all_places: Places) -> None:
    """The mail may have arrived."""
    all_places.mail.fail(Failure.silence())

    outcome = await channel(all_places, "mail", timeout_s=0.3).send(MESSAGE)

    assert isinstance(outcome, Retry)
    assert outcome.maybe_sent


async def test_a_mail_server_that_is_gone_is_a_certain_failure(tmp_path: Path) -> None:
    """Nothing was handed over."""
    with places(tmp_path) as gone:
        made = channel(gone, "mail")

    assert await made.send(MESSAGE) == Retry("SMTP: ConnectionRefusedError")


async def test_mail_goes_by_starttls_with_a_login(tmp_path: Path) -> None:
    """The server demands both; a wrong password is a retry that does not repeat it."""
    (tmp_path / "password").write_text("canary-password", encoding="utf-8")
    with MailReceiver(tls=server_context(), username="u", password="canary-password") as server:
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": server.port,
            "from": "a@example.com",
            "to": ["b@example.com"],
            "username": "u",
            "password": {"file": "password"},
            "ca_file": str(CERTIFICATE),
        }
        assert await make_channel("mail", section(tmp_path, **settings)).send(LOUD) == Delivered()
        (tmp_path / "password").write_text("canary-wrong", encoding="utf-8")
        refused = await make_channel("mail", section(tmp_path, **settings)).send(LOUD)
        untrusted = make_channel("mail", section(tmp_path, **{**settings, "ca_file": None}))
        stranger = await untrusted.send(LOUD)

    assert server.received[0].details["tls"]
    assert refused == Retry("SMTP 535: user name or password refused")
    assert stranger == Retry("TLS: CERTIFICATE_VERIFY_FAILED")


@pytest.mark.parametrize("name", ALL)
async def test_no_outcome_or_repr_holds_a_secret(all_places: Places, name: str) -> None:
    """Over every failure, nothing of key, token or secret shows."""
    made = channel(all_places, name, timeout_s=0.3)
    place = receiver(all_places, name)
    for failure in (
        Failure.status(500),
        Failure.code(450, " ".join(CANARIES)),
        Failure.hang_up(),
        Failure.silence(),
    ):
        place.fail(failure)
        outcome = await made.send(MESSAGE)
        if failure.kind != "code":
            assert not any(canary in repr(outcome) for canary in CANARIES)
    assert not any(canary in repr(made) for canary in CANARIES)
