"""Links of the guides lead somewhere, and every guide can be found from the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDES = [
    *(ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def text_of(guide: Path) -> str:
    """Return a guide without its blocks of code, whose brackets are no links."""
    return re.sub(r"(?ms)^```.*?^```", "", guide.read_text(encoding="utf-8"))


def links(guide: Path) -> list[str]:
    """Return where the links of a guide lead, addresses of the web left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", text_of(guide))
    return [link for link in found if not re.match(r"https?:|mailto:", link)]


def anchors(guide: Path) -> set[str]:
    """Return the anchors of a guide's headings, made as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", text_of(guide))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_links_lead_to_what_is_there(guide: Path) -> None:
    """The file is in the checkout, and it has the heading."""
    for link in links(guide):
        path, _, anchor = link.partition("#")
        target = (guide.parent / path).resolve() if path else guide
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_every_guide_is_named_in_the_readme(readme: str) -> None:
    """Nobody has to search the folder for a guide."""
    named = {Path(link.partition("#")[0]).name for link in links(ROOT / readme)}
    guides = {path.name for path in (ROOT / "docs").glob("*.md")}
    ours = {name for name in guides if name.endswith(".zh.md") == readme.endswith(".zh.md")}
    translated = {name for name in guides if name.replace(".md", ".zh.md") in guides}
    assert ours - named - (translated if readme.endswith(".zh.md") else set()) == set()
