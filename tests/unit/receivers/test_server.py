"""Receivers over real HTTP and SMTP: scripted failures, what they show, their credentials."""

import smtplib
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from ddcolor_operations.receivers import (
    Failure,
    MailReceiver,
    SmsGateway,
    WeComRobot,
    serve,
)
from ddcolor_operations.receivers.credentials import ensure_credentials
from tests.support.tls import client_context, server_context

BODY = {"msgtype": "markdown", "markdown": {"content": "hello\nworld"}}


def test_scripted_failures_come_in_order_and_then_end() -> None:
    """Status, code and hang-up each for their number of requests; then all is well."""
    robot = WeComRobot("KEY")
    robot.fail(Failure.status(500))
    robot.fail(Failure.code(45009), times=2)
    robot.fail(Failure.hang_up())
    with serve(robot) as server:
        url = server.url(robot)
        assert requests.post(url, json=BODY, timeout=5).status_code == 500
        for _ in range(2):
            assert requests.post(url, json=BODY, timeout=5).json()["errcode"] == 45009
        with pytest.raises(requests.ConnectionError):
            requests.post(url, json=BODY, timeout=5)
        assert robot.received == []
        assert requests.post(url, json=BODY, timeout=5).json()["errcode"] == 0
    assert (robot.requests, robot.received[0].title) == (5, "hello")


def test_silence_answers_nothing_until_the_server_ends() -> None:
    """The sender's own time limit ends the wait, and stopping the server does not hang."""
    robot = WeComRobot("KEY")
    robot.fail(Failure.silence())
    with serve(robot) as server, pytest.raises(requests.Timeout):
        requests.post(server.url(robot), json=BODY, timeout=0.2)
    assert robot.received == []


def test_a_swallowed_message_is_kept_without_an_answer() -> None:
    """This is how a message of unknown fate comes to be."""
    robot = WeComRobot("KEY")
    robot.fail(Failure.swallow())
    with serve(robot) as server, pytest.raises(requests.ConnectionError):
        requests.post(server.url(robot), json=BODY, timeout=5)
    assert len(robot.received) == 1


def test_received_lists_all_receivers_in_order_of_time() -> None:
    """The demo reads one list."""
    robot, gateway = WeComRobot("KEY"), SmsGateway("T")
    with serve(robot, gateway) as server:
        requests.post(server.url(robot), json=BODY, timeout=5)
        requests.post(
            server.url(gateway),
            json={"phones": ["1"], "text": "x"},
            headers={"Authorization": "Bearer T"},
            timeout=5,
        )
        base = f"http://127.0.0.1:{server.port}"
        messages = requests.get(f"{base}/received", timeout=5).json()["messages"]
        assert requests.get(f"{base}/healthz", timeout=5).json() == {"status": "ok"}
        assert requests.get(f"{base}/other", timeout=5).status_code == 404
        assert requests.post(f"{base}/other", json={}, timeout=5).status_code == 404

    assert [(m["receiver"], m["text"]) for m in messages] == [
        ("wecom", "hello\nworld"),
        ("sms", "x"),
    ]


def mail(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"], message["To"] = "a@example.com", "b@example.com"
    message.set_content("正文", cte="base64")
    message.add_alternative("<p>正文</p>", subtype="html", cte="base64")
    return message


def test_a_mail_is_taken_apart() -> None:
    """Subject, both parts and the envelope are kept."""
    with MailReceiver() as receiver:
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            client.send_message(mail("[严重] 模型未加载"))
        (received,) = receiver.wait_for(1)

    assert received.title == "[严重] 模型未加载"
    assert received.text.strip() == "正文"
    assert received.details["html"].strip() == "<p>正文</p>"
    assert received.details["to"] == ["b@example.com"]


def test_a_mail_server_refuses_and_hangs_up_as_scripted() -> None:
    """A reply code, then a lost connection, then a mail that is kept."""
    with MailReceiver() as receiver:
        receiver.fail(Failure.status(451))
        receiver.fail(Failure.hang_up())
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPDataError):
                client.send_message(mail("1"))
            with pytest.raises(smtplib.SMTPServerDisconnected):
                client.send_message(mail("2"))
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            client.send_message(mail("3"))

    assert [m.title for m in receiver.received] == ["3"]


def test_a_mail_server_with_a_user_demands_the_login() -> None:
    """Without it, or with a wrong password, nothing is taken."""
    with MailReceiver(tls=server_context(), username="u", password="p") as receiver:
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPException):
                client.send_message(mail("before STARTTLS"))
            client.starttls(context=client_context())
            with pytest.raises(smtplib.SMTPException):
                client.send_message(mail("before the login"))
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("u", "wrong")
        with smtplib.SMTP("127.0.0.1", receiver.port, timeout=5) as client:
            client.starttls(context=client_context())
            client.login("u", "p")
            client.send_message(mail("2"))

    assert [m.title for m in receiver.received] == ["2"]


def test_waiting_in_vain_tells_what_there_is() -> None:
    """The error helps to see what went wrong."""
    with pytest.raises(TimeoutError, match="0 messages of 0 requests"):
        WeComRobot("KEY").wait_for(1, 0.01)


def test_credentials_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    """A second start keeps the keys, with the webhooks of its own port."""
    first = ensure_credentials(tmp_path / "r", 8086)
    second = ensure_credentials(tmp_path / "r", 9086)

    assert first == second
    files = {path.name: path for path in (tmp_path / "r").iterdir()}
    assert set(files) == {
        "credentials.json",
        "wecom.webhook",
        "dingtalk.webhook",
        "dingtalk.signing_secret",
        "sms.url",
        "sms.authorization",
    }
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.values())
    webhook = files["wecom.webhook"].read_text(encoding="utf-8")
    assert webhook == f"http://127.0.0.1:9086/cgi-bin/webhook/send?key={first.wecom_key}"
    assert len(set(ensure_credentials(tmp_path / "other", 8086).wecom_key)) > 1


def test_changed_credentials_are_named(tmp_path: Path) -> None:
    """A file of another shape is an error with its path, not a crash."""
    (tmp_path / "credentials.json").write_text('{"key": "x"}', encoding="utf-8")

    with pytest.raises(ValueError, match=r"credentials\.json does not hold"):
        ensure_credentials(tmp_path, 8086)
