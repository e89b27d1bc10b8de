"""The SendSms interfaces of Aliyun and Tencent Cloud: signatures, parameters, codes."""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ddcolor_operations.notifier.channels.cloud_signing import (
    acs3_headers,
    canonical_query,
    tc3_authorization,
)
from ddcolor_operations.receivers.http import Answer, HttpReceiver, Request

_PHONE = re.compile(r"(\+?86)?1\d{10}")
_CLOCK_S = {"aliyun": 900.0, "tencent": 300.0}


class AliyunGateway(HttpReceiver):
    """Aliyun's Dysmsapi: HTTP 200 with ``Code`` OK or isv.*; 4xx when it is not signed well."""

    name = "aliyun_sms"
    path = "/aliyun/"

    def __init__(
        self, key_id: str, key_secret: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(clock)
        self._key = (key_id, key_secret)
        self._nonces: set[str] = set()

    def handle(self, request: Request) -> dict[str, Any] | Answer:
        """Check signature, nonce and parameters; keep the message."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        refusal = self._signature_refusal(headers, request)
        if refusal is not None:
            return refusal
        given = dict(request.query)
        phones = given.get("PhoneNumbers", "").split(",")
        if not all(_PHONE.fullmatch(phone) for phone in phones):
            return self.scripted(0, "isv.MOBILE_NUMBER_ILLEGAL")
        if not given.get("SignName") or not given.get("TemplateCode"):
            return self.scripted(0, "isv.INVALID_PARAMETERS")
        try:
            variables = json.loads(given.get("TemplateParam", "{}"))
        except ValueError:
            return self.scripted(0, "isv.INVALID_JSON_PARAM")
        if any(len(value) > 35 for value in variables.values()):
            return self.scripted(0, "isv.PARAM_LENGTH_LIMIT")
        text = json.dumps(variables, ensure_ascii=False)
        self.keep(given["TemplateCode"], text, phones=phones, id=given.get("OutId"))
        return {"Code": "OK", "Message": "OK", "BizId": "1^0", "RequestId": "R"}

    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:
        """Return the answer whose code is ``text``; a ``number`` above 0 is its HTTP status."""
        said = {"Code": text, "Message": text, "RequestId": "R"}
        return Answer(number, said) if number else said

    def _signature_refusal(
        self, headers: dict[str, str], request: Request
    ) -> dict[str, Any] | Answer | None:
        try:
            sent = datetime.fromisoformat(headers["x-acs-date"]).timestamp()
            nonce = headers["x-acs-signature-nonce"]
            wanted = acs3_headers(
                key_id=self._key[0],
                key_secret=self._key[1],
                host=headers["host"],
                path=self.path,
                query=canonical_query(dict(request.query)),
                action=headers["x-acs-action"],
                version=headers["x-acs-version"],
                nonce=nonce,
                now=sent,
                body=request.body,
            )["authorization"]
        except (KeyError, ValueError):
            return self.scripted(400, "MissingParameter")
        if (headers["x-acs-action"], headers["x-acs-version"]) != ("SendSms", "2017-05-25"):
            return self.scripted(404, "InvalidAction.NotFound")
        if abs(self.clock() - sent) > _CLOCK_S["aliyun"]:
            return self.scripted(400, "InvalidTimeStamp.Expired")
        if not hmac.compare_digest(wanted, headers.get("authorization", "")):
            return self.scripted(400, "SignatureDoesNotMatch")
        if nonce in self._nonces:
            return self.scripted(400, "SignatureNonceUsed")
        self._nonces.add(nonce)
        return None


class TencentGateway(HttpReceiver):
    """Tencent Cloud's SMS: always HTTP 200, an ``Error`` or a code for each number."""

    name = "tencent_sms"
    path = "/tencent/"

    def __init__(
        self, secret_id: str, secret_key: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(clock)
        self._key = (secret_id, secret_key)

    def handle(self, request: Request) -> dict[str, Any] | Answer:
        """Check signature and parameters; keep the message for the numbers that are numbers."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        timestamp = headers.get("x-tc-timestamp", "")
        if not timestamp.isdigit():
            return self.scripted(0, "MissingParameter")
        if abs(self.clock() - int(timestamp)) > _CLOCK_S["tencent"]:
            return self.scripted(0, "AuthFailure.SignatureExpire")
        wanted = tc3_authorization(
            secret_id=self._key[0],
            secret_key=self._key[1],
            host=headers.get("host", ""),
            service="sms",
            now=int(timestamp),
            body=request.body,
        )["authorization"]
        if not hmac.compare_digest(wanted, headers.get("authorization", "")):
            return self.scripted(0, "AuthFailure.SignatureFailure")
        if (headers.get("x-tc-action"), headers.get("x-tc-version")) != ("SendSms", "2021-01-11"):
            return self.scripted(0, "InvalidAction")
        data = request.json() or {}
        variables, phones = data.get("TemplateParamSet", []), data.get("PhoneNumberSet", [])
        if not all(data.get(n) for n in ("SmsSdkAppId", "TemplateId", "PhoneNumberSet")):
            return self.scripted(0, "MissingParameter")
        codes = {phone: self._code(phone, variables) for phone in phones}
        taken = [phone for phone, code in codes.items() if code == "Ok"]
        if taken:
            text = json.dumps(variables, ensure_ascii=False)
            self.keep(data["TemplateId"], text, phones=taken, id=data.get("SessionContext"))
        return {
            "Response": {
                "SendStatusSet": [
                    {"PhoneNumber": phone, "Code": code, "Message": "send success", "Fee": 1}
                    for phone, code in codes.items()
                ],
                "RequestId": "R",
            }
        }

    def scripted(self, number: int, text: str) -> dict[str, Any] | Answer:  # noqa: ARG002 - always 200
        """Return the error whose code is ``text``."""
        return {"Response": {"Error": {"Code": text, "Message": text}, "RequestId": "R"}}

    @staticmethod
    def _code(phone: str, variables: list[str]) -> str:
        if _PHONE.fullmatch(phone) is None:
            return "InvalidParameterValue.IncorrectPhoneNumber"
        if any(len(value) > 12 for value in variables):
            return "InvalidParameterValue.TemplateParameterLengthLimit"
        return "Ok"
