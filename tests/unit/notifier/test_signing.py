"""Signatures: our own, and those of the SMS providers against their published examples."""

import pytest

from ddcolor_operations.notifier.channels.cloud_signing import (
    acs3_headers,
    canonical_query,
    tc3_authorization,
)
from ddcolor_operations.notifier.signing import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    SignatureError,
    signature,
    signed_headers,
    verify,
)

BODY = b'{"alert_id": "1"}'
NOW = 1_800_000_000.5


def test_aliyuns_published_example_is_reproduced() -> None:
    """The RunInstances example of its documentation of signature version 3."""
    query = canonical_query(
        {
            "RegionId": "cn-shanghai",
            "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
        }
    )
    headers = acs3_headers(
        key_id="YourAccessKeyId",
        key_secret="YourAccessKeySecret",
        host="ecs.cn-shanghai.aliyuncs.com",
        path="/",
        query=query,
        action="RunInstances",
        version="2014-05-26",
        nonce="3156853299f313e23d1673dc12e1703d",
        now=1698315752,  # 2023-10-26T10:22:32Z
    )

    assert headers["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;"
        "x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_tencents_published_example_is_reproduced() -> None:
    """The DescribeInstances example of its documentation of signature version 3."""
    body = (
        b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
    )
    headers = tc3_authorization(
        secret_id="AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        secret_key="Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        host="cvm.tencentcloudapi.com",
        service="cvm",
        now=1551113065,
        body=body,
    )

    assert headers["x-tc-timestamp"] == "1551113065"
    assert headers["authorization"] == (
        "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm"
        "/tc3_request, SignedHeaders=content-type;host,"
        " Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


def test_a_query_is_encoded_as_rfc_3986_has_it() -> None:
    """A space is %20 and a star %2A; a tilde stays."""
    assert canonical_query({"b": "a *~", "a": "签"}) == "a=%E7%AD%BE&b=a%20%2A~"


def test_our_signature_is_the_one_that_is_documented() -> None:
    """HMAC-SHA256 over the timestamp, a full stop and the body, as openssl makes it."""
    assert signature("secret", 1800000000, b"{}") == (
        "sha256=bb7079132825ac793cea8c013c1dd24d926b9b02132245b10588d9e5c0df70d7"
    )


def test_a_signed_request_is_verified() -> None:
    """With the same secret, within five minutes."""
    headers = signed_headers("secret", NOW, BODY)

    verify("secret", headers, BODY, NOW + 299)


@pytest.mark.parametrize(
    ("changes", "body", "at", "error"),
    [
        ({}, BODY + b" ", NOW, "does not fit the body"),
        ({SIGNATURE_HEADER: "sha256=0"}, BODY, NOW, "does not fit the body"),
        ({SIGNATURE_HEADER: "\udcff"}, BODY, NOW, "does not fit the body"),
        ({TIMESTAMP_HEADER: str(int(NOW) + 1)}, BODY, NOW, "does not fit the body"),
        ({TIMESTAMP_HEADER: ""}, BODY, NOW, "missing or no number"),
        ({TIMESTAMP_HEADER: "-1"}, BODY, NOW, "missing or no number"),
        ({}, BODY, NOW + 302, "more than 300 s away"),
        ({}, BODY, NOW - 302, "more than 300 s away"),
    ],
)
def test_a_request_that_was_changed_or_kept_is_refused(
    changes: dict[str, str], body: bytes, at: float, error: str
) -> None:
    """Neither another body nor another time passes, and an old request cannot be sent again."""
    headers = signed_headers("secret", NOW, BODY) | changes

    with pytest.raises(SignatureError, match=error):
        verify("secret", headers, body, at)


def test_another_secret_is_refused() -> None:
    """The error holds neither."""
    with pytest.raises(SignatureError, match="does not fit") as caught:
        verify("other", signed_headers("secret", NOW, BODY), BODY, NOW)

    assert "secret," not in str(caught.value)
