"""SMS by Aliyun and Tencent Cloud, whose templates they keep: only short variables are sent."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard
from urllib.parse import urlsplit, urlunsplit

import jinja2

from ddcolor_operations.notifier.channels.base import (
    FACTS,
    Blocked,
    Channel,
    Delivered,
    Format,
    GiveUp,
    Message,
    Outcome,
    Retry,
)
from ddcolor_operations.notifier.channels.cloud_signing import (
    acs3_headers,
    canonical_query,
    tc3_authorization,
)
from ddcolor_operations.notifier.channels.http import Reply, post
from ddcolor_operations.notifier.channels.sms import read_phones
from ddcolor_operations.notifier.channels.template import read_template
from ddcolor_operations.notifier.secrets import Secret, SecretError
from ddcolor_operations.notifier.settings import ConfigError, Section
from ddcolor_operations.notifier.text import clean

_SAMPLE = dict.fromkeys(FACTS, "x")

#: This text or these variables will never be taken.
_ALIYUN_HOPELESS = frozenset(
    {
        "isv.MOBILE_NUMBER_ILLEGAL",
        "isv.INVALID_PARAMETERS",
        "isv.INVALID_JSON_PARAM",
        "isv.TEMPLATE_MISSING_PARAMETERS",
        "isv.TEMPLATE_PARAMS_ILLEGAL",
        "isv.PARAM_LENGTH_LIMIT",
        "isv.PARAM_NOT_SUPPORT_URL",
        "isv.BLACK_KEY_CONTROL_LIMIT",
        "isv.SMS_CONTENT_ILLEGAL",
    }
)
#: Codes that begin so: the same, at Tencent Cloud.
_TENCENT_HOPELESS = (
    "FailedOperation.ContainSensitiveWord",
    "FailedOperation.PhoneNumberInBlacklist",
    "InvalidParameterValue.IncorrectPhoneNumber",
    "InvalidParameterValue.ContentLengthLimit",
    "InvalidParameterValue.TemplateParameter",
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter",
)
#: A number had its share of this minute, hour or day.
_ALIYUN_TOO_MANY = frozenset(
    {"isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL"}
)
_TENCENT_TOO_MANY = ("LimitExceeded", "RequestLimitExceeded")
_PAUSE_S = 60.0
_ALIYUN_KEYS = ("access_key_id", "access_key_secret")
_TENCENT_KEYS = ("secret_id", "secret_key")


@dataclass(frozen=True, slots=True)
class _CloudSms(Channel):
    """What both providers are told. ``max_chars`` is the longest variable that they take."""

    # Only the variables are sent, the text is not.
    FORMAT: ClassVar[Format] = "sms"
    LIMIT: ClassVar[int] = 1000

    endpoint: str
    key_id: Secret
    key_secret: Secret
    sign_name: str
    template: str
    to: tuple[str, ...]
    max_chars: int
    per_minute: int | None
    timeout_s: float

    def _value(self, variable: jinja2.Template, message: Message) -> str:
        # A variable must not be empty, and a line break in it is refused.
        return clean(variable.render(message.facts), self.max_chars) or "-"


@dataclass(frozen=True, slots=True)
class AliyunSms(_CloudSms):
    """Aliyun's SendSms; ``variables`` by the names in the template."""

    variables: Mapping[str, jinja2.Template]

    @classmethod
    def from_section(cls, section: Section) -> AliyunSms:
        """Read the settings."""
        params = section.section("params")
        return cls(
            **_common(section, "https://dysmsapi.aliyuncs.com", _ALIYUN_KEYS, max_chars=35),
            template=section.text("template_code"),
            variables={
                name: read_template(params.text(name), params.where(name), _SAMPLE)
                for name in params.names()
            },
        )

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        variables = {name: self._value(v, message) for name, v in self.variables.items()}
        query = canonical_query(
            {
                "PhoneNumbers": ",".join(self.to),
                "SignName": self.sign_name,
                "TemplateCode": self.template,
                "TemplateParam": json.dumps(variables, ensure_ascii=False),
                "OutId": message.key,
            }
        )
        parts = urlsplit(self.endpoint)
        try:
            headers = acs3_headers(
                key_id=self.key_id.reveal(),
                key_secret=self.key_secret.reveal(),
                host=parts.netloc,
                path=parts.path or "/",
                query=query,
                action="SendSms",
                version="2017-05-25",
                nonce=secrets.token_hex(16),
                now=time.time(),
            )
        except SecretError as error:
            return Retry(str(error))
        url = urlunsplit(parts._replace(path=parts.path or "/", query=query))
        reply = await post(url, b"", headers=headers, timeout_s=self.timeout_s, read_refusals=True)
        if not isinstance(reply, Reply):
            return reply
        data = reply.data if isinstance(reply.data, dict) else {}
        code = str(data.get("Code", ""))
        if code == "OK":
            return Delivered()
        reason = (
            f"{clean(code, 60) or f'HTTP {reply.status}'}: {clean(data.get('Message', ''), 120)}"
        )
        if code in _ALIYUN_TOO_MANY:
            return Blocked(reason, _PAUSE_S)
        return GiveUp(reason) if code in _ALIYUN_HOPELESS else Retry(reason)


@dataclass(frozen=True, slots=True)
class TencentSms(_CloudSms):
    """Tencent Cloud's SendSms; ``variables`` in the order of the template."""

    sdk_app_id: str
    region: str
    variables: tuple[jinja2.Template, ...]

    @classmethod
    def from_section(cls, section: Section) -> TencentSms:
        """Read the settings."""
        return cls(
            **_common(section, "https://sms.tencentcloudapi.com", _TENCENT_KEYS, max_chars=12),
            template=section.text("template_id"),
            sdk_app_id=section.text("sdk_app_id"),
            region=section.text("region", "ap-guangzhou"),
            variables=tuple(
                read_template(text, f"{section.where('params')}[{at}]", _SAMPLE)
                for at, text in enumerate(section.texts("params"))
            ),
        )

    async def send(self, message: Message) -> Outcome:
        """Send one message."""
        body = json.dumps(
            {
                "PhoneNumberSet": list(self.to),
                "SmsSdkAppId": self.sdk_app_id,
                "SignName": self.sign_name,
                "TemplateId": self.template,
                "TemplateParamSet": [self._value(v, message) for v in self.variables],
                "SessionContext": message.key,
            },
            ensure_ascii=False,
        ).encode()
        try:
            signed = tc3_authorization(
                secret_id=self.key_id.reveal(),
                secret_key=self.key_secret.reveal(),
                host=urlsplit(self.endpoint).netloc,
                service="sms",
                now=time.time(),
                body=body,
            )
        except SecretError as error:
            return Retry(str(error))
        about = {"x-tc-action": "SendSms", "x-tc-version": "2021-01-11", "x-tc-region": self.region}
        reply = await post(
            self.endpoint,
            body,
            headers=signed | about,
            timeout_s=self.timeout_s,
            read_refusals=True,
        )
        return _tencent_outcome(reply) if isinstance(reply, Reply) else reply


def _tencent_outcome(reply: Reply) -> Outcome:
    """Class an answer: each number has a code of its own."""
    data = reply.data.get("Response") if isinstance(reply.data, dict) else None
    if not isinstance(data, dict):
        return Retry(f"HTTP {reply.status} without a Response: not Tencent Cloud's answer")
    error, numbers = data.get("Error"), data.get("SendStatusSet")
    if isinstance(error, dict):
        return _tencent_refusal(error)
    if not numbers or not _are_objects(numbers):
        return Retry("an answer without a SendStatusSet: not Tencent Cloud's", maybe_sent=True)
    refused = [entry for entry in numbers if entry.get("Code") != "Ok"]
    if not refused:
        return Delivered()
    if len(refused) < len(numbers):
        # Those who have it must not get it again.
        code = clean(refused[0].get("Code", ""), 60)
        return Delivered(f"{len(refused)} of {len(numbers)} numbers were refused: {code}")
    return _tencent_refusal(refused[0])


def _are_objects(data: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(data, list) and all(isinstance(entry, dict) for entry in data)


def _tencent_refusal(entry: Mapping[str, Any]) -> Outcome:
    code = str(entry.get("Code", ""))
    reason = f"{clean(code, 80)}: {clean(entry.get('Message', ''), 120)}"
    if code.startswith(_TENCENT_TOO_MANY):
        return Blocked(reason, _PAUSE_S)
    return GiveUp(reason) if code.startswith(_TENCENT_HOPELESS) else Retry(reason)


def _common(
    section: Section, endpoint: str, keys: tuple[str, str], *, max_chars: int
) -> dict[str, Any]:
    """Read what both providers' settings share; ``keys`` name the two halves of the account."""
    endpoint = section.text("endpoint", endpoint)
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{section.where('endpoint')}: {endpoint!r} is no http address")
    return {
        "endpoint": endpoint,
        "key_id": section.secret(keys[0]),
        "key_secret": section.secret(keys[1]),
        "sign_name": section.text("sign_name"),
        "to": read_phones(section),
        "max_chars": section.integer("max_chars", max_chars, low=1, high=200),
        "per_minute": section.integer("per_minute", 10, low=1, high=6000),
        "timeout_s": section.number("timeout_s", 15, low=0.1, high=120),
    }
