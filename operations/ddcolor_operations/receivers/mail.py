"""A real SMTP server that keeps what it takes."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import time
from collections.abc import Callable
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ddcolor_operations.receivers.base import Receiver


class MailReceiver(Receiver):
    """Listens within its context. With ``tls`` it demands STARTTLS; with a user, a login too."""

    name = "mail"

    def __init__(
        self,
        port: int = 0,
        *,
        tls: ssl.SSLContext | None = None,
        username: str | None = None,
        password: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(clock)
        self._login = None if username is None else (username.encode(), (password or "").encode())
        self._controller = _Controller(
            self,
            hostname="127.0.0.1",
            port=port,
            tls_context=tls,
            require_starttls=tls is not None,
            auth_required=self._login is not None,
            authenticator=self._authenticate,
        )

    @property
    def port(self) -> int:
        """Return the port, once the server listens."""
        return int(self._controller.port)

    def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        self._controller.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take one mail, or do what is scripted."""
        failure = self.next_failure()
        match failure.kind if failure else None:
            case "status" | "code" if failure:
                return f"{failure.number} scripted"
            case "silence":
                await asyncio.Event().wait()
            case "hang_up":
                _drop(server)
                return "421 closing"
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        plain, html = _part(mail, "plain"), _part(mail, "html")
        self.keep(
            str(mail["Subject"] or ""),
            plain,
            html=html,
            sender=envelope.mail_from,
            to=list(envelope.rcpt_tos),
            message_id=str(mail["Message-ID"] or ""),
            tls=session.ssl is not None,
        )
        if failure is not None:
            _drop(server)
            return "421 closing"
        return "250 kept"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        given = (data.login, data.password) if isinstance(data, LoginPassword) else None
        # "Not handled" leaves the reply to the server; a login that fails is answered by it.
        return AuthResult(success=given is not None and given == self._login, handled=False)


class _Controller(Controller):
    """Learns which port it got when any free one was asked for."""

    def _trigger_server(self) -> None:
        if isinstance(self.server, asyncio.Server):
            self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


def _part(mail: EmailMessage, subtype: str) -> str:
    part = mail.get_body((subtype,))
    return "" if part is None else str(part.get_content())


def _drop(server: SMTP) -> None:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()
