"""Mail by SMTP, with STARTTLS, TLS or (on this machine only) in the clear."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from pathlib import Path
from typing import ClassVar

from ddcolor_operations.notifier.channels.base import (
    Channel,
    Delivered,
    Format,
    GiveUp,
    Message,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section

_LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Mail(Channel):
    """One mail route: server, sender, receivers."""

    FORMAT: ClassVar[Format] = "mail"
    # A server takes more, a reader does not.
    LIMIT: ClassVar[int] = 100_000

    host: str
    port: int
    security: str
    sender: str
    to: tuple[str, ...]
    username: str
    password: Secret | None
    ca_file: Path | None
    timeout_s: float
    per_minute: int | None

    @classmethod
    def from_section(cls, section: Section) -> Mail:
        """Read one mail route's settings."""
        host = section.text("host")
        security = section.choice("security", ("starttls", "tls", "none"), "starttls")
        username = section.text("username", "")
        password = section.secret("password") if section.has("password") else None
        if password is not None and security == "none" and host not in _LOCAL:
            raise ConfigError(
                f"{section.where('security')}: none would send the password in the clear: use"
                " starttls or tls"
            )
        if bool(username) != (password is not None):
            raise ConfigError(
                f"{section.where('username')}: give username and password, or neither"
            )
        mail = cls(
            host=host,
            port=section.integer(
                "port", {"starttls": 587, "tls": 465, "none": 25}[security], low=1, high=65535
            ),
            security=security,
            sender=section.text("from"),
            to=section.texts("to"),
            username=username,
            password=password,
            ca_file=section.path("ca_file"),
            timeout_s=section.number("timeout_s", 30, low=0.1, high=300),
            per_minute=section.integer("per_minute", 60, low=1, high=6000),
        )
        if not mail.to:
            raise ConfigError(f"{section.where('to')}: at least one address is needed")
        for address in (mail.sender, *mail.to):
            try:
                Address(addr_spec=address)
            except (ValueError, IndexError):
                raise ConfigError(
                    f"{section.where('to')}: {address!r} is no mail address"
                ) from None
        if mail.ca_file is not None and not mail.ca_file.is_file():
            raise ConfigError(f"{section.where('ca_file')}: {mail.ca_file} is not a file")
        return mail

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        return await asyncio.to_thread(self._send, message)

    def compose(self, message: Message) -> EmailMessage:
        """Return the mail with its text and HTML parts."""
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = format_datetime(localtime())
        # The same for each try of a message: mail stores drop the second of two equal ids.
        mail["Message-ID"] = f"<{message.key}@ddcolor-notifier>"
        mail["Auto-Submitted"] = "auto-generated"
        if message.level >= 3:
            mail["Importance"] = "high"
            mail["X-Priority"] = "1"
        mail.set_content(message.body, cte="base64")
        mail.add_alternative(message.html, subtype="html", cte="base64")
        return mail

    def _send(self, message: Message) -> Outcome:
        handed_over = False
        server: smtplib.SMTP | None = None
        try:
            server = self._connect()
            if self.password is not None:
                server.login(self.username, self.password.reveal())
            handed_over = True
            refused = server.send_message(self.compose(message), self.sender, self.to)
        except SecretError as error:
            return Retry(str(error))
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            return _classed(max(codes, default=550), "every receiver was refused")
        except smtplib.SMTPAuthenticationError as error:
            return Retry(f"SMTP {error.smtp_code}: user name or password refused")
        except smtplib.SMTPResponseException as error:
            return _classed(error.smtp_code, "refused by the server")
        except ssl.SSLError as error:
            return Retry(f"TLS: {error.reason or 'failed'}")
        except (smtplib.SMTPException, OSError) as error:
            return Retry(f"SMTP: {type(error).__name__}", maybe_sent=handed_over)
        finally:
            if server is not None:
                _quit(server)
        if refused:
            return Delivered(f"{len(refused)} of {len(self.to)} receivers were refused")
        return Delivered()

    def _connect(self) -> smtplib.SMTP:
        if self.security == "none":
            return smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_s, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=self.timeout_s)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server


def _classed(code: int, what: str) -> Outcome:
    """Class an SMTP reply: 4xx is transient, 5xx is for ever."""
    error = f"SMTP {code}: {what}"
    return GiveUp(error) if code >= 500 else Retry(error)


def _quit(server: smtplib.SMTP) -> None:
    """Say goodbye; what goes wrong here changes nothing about the message."""
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()
