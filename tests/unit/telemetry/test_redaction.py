"""Redaction: what must go, what must stay, and that hostile input costs no more than its length."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_telemetry import redact

# text, and the parts of it that must not survive
SECRETS = [
    ("cannot open /home/alice/ComfyUI/input/holiday.png", ["alice", "holiday", "/home"]),
    (
        "cannot open '/home/alice/My Photos/anna wedding.png'",
        ["alice", "Photos", "anna", "wedding"],
    ),
    ("saved /Users/anna/Desktop/a b.jpg", ["anna", "Desktop"]),
    ("saved /home/bob/My Photos/anna wedding.png now", ["bob", "Photos", "anna", "wedding"]),
    ("path=/srv/data/client-7/x", ["client-7", "/srv"]),
    ("path:/srv/data/client-7/x", ["client-7"]),
    ("file:///home/alice/x.png", ["alice", "x.png"]),
    ("~/photos/anna.webp and ~bob/photos/beach.jpeg", ["anna", "bob", "beach"]),
    (r"C:\Users\Anna Maria\Pictures\me.png", ["Anna", "Maria", "Pictures", "me.png"]),
    (r"open 'D:\\photos\\anna.png' failed", ["photos", "anna"]),
    ("C:/Users/Anna/x", ["Users", "Anna"]),
    (r"\\nas01\family\anna.png", ["nas01", "family", "anna"]),
    ("读取/home/王伟/照片/结婚.png失败", ["王伟", "照片", "结婚"]),
    ("Invalid image file: nosuch-person.png", ["nosuch-person"]),
    ("upload 'anna and bob.jpg' refused", ["anna", "bob"]),
    ("结婚照.JPG 无法解码", ["结婚照"]),
    ("input/anna (1).png", ["anna (1)"]),
    ("GET /view?filename=anna.png&type=output", ["anna"]),
    ('File "/home/alice/comfy/execution.py", line 12, in f', ["alice", "/home"]),
    ("client 192.168.1.17 sent", ["192.168.1.17"]),
    ("client 203.0.113.9:51234 sent", ["203.0.113.9"]),
    ("listening on 127.0.0.1:8188", ["127.0.0.1"]),
    ("http://10.0.0.5:8188/prompt", ["10.0.0.5"]),
    ("peer ('192.168.1.17', 5000)", ["192.168.1.17"]),
    ("from 2001:db8::8a2e:370:7334", ["2001:db8", "7334"]),
    ("from [fe80::1]:8188", ["fe80::1"]),
    ("from 2001:0db8:85a3:0000:0000:8a2e:0370:7334.", ["85a3"]),
    ("::ffff:192.168.1.17", ["192.168.1.17"]),
    (
        "POST https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7e1c-4a2b-9d3e-aa11bb22cc33",
        ["693a91f6", "aa11bb22cc33"],
    ),
    (
        "https://oapi.dingtalk.com/robot/send?access_token=ab12cd34ef56&sign=Zm9vYmFy%2Bbaz%3D",
        ["ab12cd34ef56", "Zm9vYmFy"],
    ),
    (
        "https://open.feishu.cn/open-apis/bot/v2/hook/1b2c3d4e-aaaa-bbbb-cccc-1234567890ab",
        ["1b2c3d4e"],
    ),
    (
        "https://hooks.slack.com/services/T000AAAA/B000BBBB/XXXXccccDDDDeeee",
        ["B000BBBB", "DDDDeeee"],
    ),
    ("Authorization: Bearer abc.def-123_XYZ", ["abc.def", "XYZ"]),
    ("Authorization: Basic dXNlcjpwYXNz", ["dXNlcjpwYXNz"]),
    ("'authorization': 'token ghs_secretvalue1'", ["ghs_secretvalue1"]),
    ("bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", ["eyJhbGci", "c2ln"]),
    ("Cookie: session=abc; other=def", ["abc", "def"]),
    ("password=hunter2 next", ["hunter2"]),
    ("password: hunter2", ["hunter2"]),
    ('{"access_token": "q1w2e3", "n": 1}', ["q1w2e3"]),
    ("ELASTIC_PASSWORD=changeme", ["changeme"]),
    ("api_key='sk-0123456789abcdef'", ["0123456789abcdef"]),
    ("hf_abcdefghijklmnopqrstuv", ["abcdefghijkl"]),
    ("secret SEC" + "0a" * 32, ["0a0a0a0a"]),
    ("https://user:pa55@example.org/x", ["user:pa55", "pa55"]),
    ("postgres://u:p@db/x", ["u:p@"]),
    ("mail anna.mueller+x@example.co.uk now", ["anna.mueller", "example.co.uk"]),
    ("电话13812345678联系", ["13812345678"]),
    ("call +86 138 1234 5678", ["138 1234 5678", "1234"]),
    ("call 138-1234-5678", ["138-1234-5678"]),
    ("call 010-62345678", ["62345678"]),
    ("call +1 415 555 2671", ["555", "2671"]),
    ("call +49 (30) 901820 12", ["901820"]),
    ("身份证11010519491231002X", ["11010519491231002X"]),
    ("id 110105199003078515.", ["110105199003078515"]),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
        ["MIIEabc"],
    ),
]

HARMLESS = [
    "Prompt finished in 4.20 s",
    "Node DDColor_Colorize (2) has been running for 30 s",
    "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "prompt 8b1f0c6e-1c2d-4e3f-8a9b-0123456789ab queued",
    "uid 01JD3Z7K0V8Q6T1B9M4X2C5N7P",
    "sha256 " + "9f86d081884c7d65" * 4,
    "torch 2.15.0+cu130, numpy 2.4.6, Python 3.11.7",
    "driver version 550.54.15.1 loaded",
    "Elasticsearch v9.4.3.0 and opencv-python==4.10.0.84",
    "2026-11-24T11:54:15.477721Z",
    "2025/11/24 11:54:15",
    "at 11:36:00 and 23:59:59.999",
    "1732448160 1732448160123 1732448160123456789",
    "Tried to allocate 15032385536 bytes of 17179869184 bytes",
    "1,200,000,000 By; 98.6 %; -12.5; 1e-10; 0x7ffd",
    "tensor of shape (1, 3, 512, 512) on cuda:0",
    "std::vector<int> c10::Error at::native",
    "POST /prompt 200; GET /history/8b1f0c6e-1c2d-4e3f-8a9b-0123456789ab",
    "POST /upload/image 413",
    "GET /api/queue and /object_info/LoadImage",
    "image/png and application/json, text/plain; charset=utf-8",
    "person/building, 3/4, km/h, and/or",
    "人物/建筑/风景",
    "model ddcolor_modelscope.pth of variant large",
    "sorted(items, key=len)",
    "key=2, sign=-1",
    "basic functionality and bearer certificates",
    "tokens: 77; a token",
    "error: value not in list: checkpoint",
    "https://opentelemetry.io/docs/specs/semconv/",
    "size 480–672, 建筑 960–1280",
    "exit code 137 (signal 9), restart 1 in 1 s",
    "a < b > c; x // y; </div>",
    "node 3.0.0.1 of parent 3",
]


@pytest.mark.parametrize(("text", "secrets"), SECRETS, ids=[text[:40] for text, _ in SECRETS])
def test_secret_parts_go(text: str, secrets: list[str]) -> None:
    """Nothing that identifies a person or opens a door is left of the text."""
    shown = redact(text)
    assert [part for part in secrets if part in shown] == [], shown


@pytest.mark.parametrize("text", HARMLESS, ids=[text[:40] for text in HARMLESS])
def test_harmless_text_stays(text: str) -> None:
    """Ids, versions, times, numbers, routes and words are not touched."""
    assert redact(text) == text


@pytest.mark.parametrize("text", [text for text, _ in SECRETS])
def test_twice_is_once(text: str) -> None:
    """Redacting redacted text changes nothing, so every stage may do it."""
    once = redact(text)
    assert redact(once) == once


def test_the_rest_of_the_text_stays() -> None:
    """Only the sensitive part is replaced, by a word that says what it was."""
    text = "node 2: cannot open /home/a/b/x.pth for 10.0.0.1 in 3.5 s"
    assert redact(text) == "node 2: cannot open <path>/x.pth for <ip> in 3.5 s"


def test_a_file_keeps_its_identity_without_its_name() -> None:
    """The same picture name always becomes the same hash, another name another."""
    first, second = redact("anna.png"), redact("bob.png")
    assert first == redact("'anna.png'").strip("'")
    assert first.startswith("file-")
    assert first.endswith(".png")
    assert first != second


def test_code_below_site_packages_stays_readable() -> None:
    """A traceback's frame of a package keeps the part that names code."""
    text = 'File "/home/alice/venv/lib/python3.11/site-packages/torch/nn/module.py", line 3'
    assert redact(text) == 'File "<path>/site-packages/torch/nn/module.py", line 3'


@pytest.mark.parametrize(
    "piece",
    [
        "/", "/a", "/!", "a/", "\\", "C:\\", "~/", "a@", "@a.", "1", "1 ", "1.", "1-", "+1", ":",
        "::", "a:", "f:", "key=", "token:", "token_", "a_", "Bearer ", "eyJa.", "'", "'/", '"/a ',
        ".png", "a.png", "a ", "A b/", "-----BEGIN A-----", "http://", "sk-", "SECa", "/hook/",
        " /a b",        "authorization: ", "\n", "中", "=", "password=", "1.1.1.", "86", "\ud800",
    ],
)  # fmt: skip
def test_hostile_repetition_ends(piece: str) -> None:
    """A quarter of a megabyte of any one piece is redacted (the suite's time-out is the bound)."""
    assert isinstance(redact(piece * (250_000 // len(piece))), str)


@given(st.text(alphabet=string.printable + "中:/\\@.=", max_size=300))
def test_any_text_is_stable(text: str) -> None:
    """Whatever the text, redaction ends, and a second time changes nothing more."""
    once = redact(text)
    assert redact(redact(once)) == redact(once)
