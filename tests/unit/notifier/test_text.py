"""Text that leaves: cut by bytes, escaped, redacted; nothing raises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddcolor_operations.notifier.text import clean, cut_bytes, escape_markdown

ANY_TEXT = st.text(alphabet=st.characters(codec=None))


@settings(deadline=None)
@given(ANY_TEXT, st.integers(0, 60))
def test_cut_never_exceeds_its_limit_and_never_breaks_a_character(text: str, limit: int) -> None:
    """Whatever the text, its cut fits the limit in UTF-8 and is a start of it, plus an ellipsis."""
    cut = cut_bytes(text, limit)

    data = cut.encode("utf-8")
    assert len(data) <= limit
    whole = text.encode("utf-8", "replace").decode("utf-8")
    assert whole.startswith(cut.removesuffix("…")) or whole == cut


@settings(deadline=None)
@given(ANY_TEXT)
def test_a_text_that_fits_is_not_cut(text: str) -> None:
    """A text of exactly the limit is returned whole."""
    data = text.encode("utf-8", "replace")

    assert cut_bytes(text, len(data)) == data.decode("utf-8")


@pytest.mark.parametrize(
    ("limit", "expected"), [(9, "显存满"), (8, "显…"), (6, "显…"), (5, "…"), (3, "…"), (2, "")]
)
def test_cut_counts_chinese_characters_as_three_bytes(limit: int, expected: str) -> None:
    """Each boundary around three-byte characters gives the longest whole start."""
    assert cut_bytes("显存满", limit) == expected


@settings(deadline=None)
@given(ANY_TEXT)
def test_escaped_text_can_neither_format_nor_mention_nor_link(text: str) -> None:
    """No character with a meaning in the robots' markdown, no @ and no scheme is left."""
    escaped = escape_markdown(text)

    assert not set(escaped) & set("*`[]<>#~|\\@!")


@settings(deadline=None)
@given(ANY_TEXT)
def test_escaping_twice_changes_nothing_more(text: str) -> None:
    """An escaped text is its own escape."""
    once = escape_markdown(text)

    assert escape_markdown(once) == once


@pytest.mark.parametrize("mention", ["@all", "@所有人", "<@zhangsan>", "@13800000000"])
def test_a_mention_in_a_log_text_mentions_nobody(mention: str) -> None:
    """The sign that makes a mention is replaced by its look-alike."""
    assert "@" not in escape_markdown(mention)
    assert "＠" in escape_markdown(mention)


def test_names_of_nodes_stay_readable_and_links_are_defused() -> None:
    """An underscore inside a word is kept, one at its edge and a URL's scheme are not."""
    assert escape_markdown("DDColor_Colorize") == "DDColor_Colorize"
    assert escape_markdown("_loud_ a_ _b") == "＿loud＿ a＿ ＿b"
    assert escape_markdown("https://evil.example") == "https：//evil.example"


@settings(deadline=None)
@given(ANY_TEXT, st.integers(0, 100))
def test_cleaned_text_is_one_visible_line_within_its_limit(text: str, limit: int) -> None:
    """Control characters, line breaks and surrogates are gone, and the limit holds."""
    cleaned = clean(text, limit)

    assert len(cleaned) <= max(limit, 1)
    assert cleaned.isprintable()
    cleaned.encode("utf-8")


class Hostile:
    """An object that cannot be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_object_without_a_text_does_not_raise() -> None:
    """The promise not to raise holds for any object."""
    assert clean(Hostile()) == "…"
    assert escape_markdown(Hostile()) == "…"


@pytest.mark.parametrize(
    "secret",
    [
        "10.20.30.40",
        "/home/zhang/photos/wedding.png",
        "zhang@example.com",
        "13812345678",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa",
    ],
)
def test_personal_data_and_keys_do_not_survive_cleaning(secret: str) -> None:
    """Addresses, paths, mail addresses, numbers and webhook keys are replaced."""
    cleaned = clean(f"failed for {secret} again")

    assert secret not in cleaned
    assert "693a91f6" not in cleaned
    assert "wedding" not in cleaned


def test_a_robots_errmsg_loses_the_address_in_it() -> None:
    """WeCom repeats the sender's address in its answer: it goes no further."""
    errmsg = "invalid webhook url, hint: [1], from ip: 203.0.113.7, more info"

    assert "203.0.113.7" not in clean(errmsg)
