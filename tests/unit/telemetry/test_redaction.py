"""Redaction: what must go, what must stay, and that hostile input costs no more than its length."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyui_telemetry import redact
from tests.support.redaction_examples import HARMLESS, SECRETS


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
