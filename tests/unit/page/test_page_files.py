"""The page's files: how they are served, and that their texts are whole. No browser needed."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from comfyui_telemetry.catalogue import CATALOGUE
from ddcolor_service.advice import SIZE_ADVICE, SIZE_STEP
from ddcolor_service.notices import NOTICES
from ddcolor_service.page.routes import STATIC, add_page

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    add_page(app)
    async with TestClient(TestServer(app)) as client:
        yield client


def texts(language: str) -> dict[str, str]:
    """Return the texts of one language: a module that is JSON but for its first words."""
    source = (STATIC / "texts" / f"{language}.js").read_text("utf-8")
    found: dict[str, str] = json.loads(source.removeprefix("export default ").rstrip(";\n"))
    return found


def files(*suffixes: str) -> list[Path]:
    return [path for path in STATIC.rglob("*") if path.suffix in suffixes]


async def test_every_file_is_served_under_a_strict_policy(client: Client) -> None:
    """Each file has its type, may not be sniffed, and allows no foreign or inline code."""
    types = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
    paths = {f"/page/{path.relative_to(STATIC)}": path for path in files(".js", ".css", ".svg")}
    for url, path in {"/": STATIC / "index.html", **paths}.items():
        answer = await client.get(url)
        assert answer.status == 200, url
        assert await answer.read() == path.read_bytes()
        assert answer.content_type == types.get(path.suffix, "image/svg+xml")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unchanged_file_is_not_sent_again(client: Client) -> None:
    """The ETag of an answer makes the next request a 304 without a body, another tag a 200."""
    first = await client.get("/page/js/main.js")
    again = await client.get("/page/js/main.js", headers={"If-None-Match": first.headers["ETag"]})
    other = await client.get("/page/js/main.js", headers={"If-None-Match": '"other"'})
    assert (again.status, await again.read()) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert other.status == 200


@pytest.mark.parametrize(
    "path",
    ["/page/../routes.py", "/page/%2e%2e/routes.py", "/page/js/..%2f..%2froutes.py", "/page/js/"],
)
async def test_nothing_but_the_page_is_served(client: Client, path: str) -> None:
    """A path that is no file of the page is not found, whatever it climbs over."""
    assert (await client.get(path)).status == 404


async def test_shared_facts_come_from_their_one_place(client: Client) -> None:
    """The page gets titles, actions and size advice as the catalogue and advice.py hold them."""
    shared = await (await client.get("/page/catalogue.json")).json()
    assert set(shared["faults"]) == set(CATALOGUE)
    out_of_memory = CATALOGUE["out_of_memory"]
    assert out_of_memory.user_action is not None
    assert shared["faults"]["out_of_memory"] == {
        "title": {"zh": out_of_memory.title.zh, "en": out_of_memory.title.en},
        "action": {"zh": out_of_memory.user_action.zh, "en": out_of_memory.user_action.en},
        "users": False,
    }
    assert shared["sizeStep"] == SIZE_STEP
    assert shared["sizes"]["person"]["largest"] == SIZE_ADVICE["person"].largest


def test_each_advice_holds_sizes_that_the_network_takes() -> None:
    """Both ends and the default of each advice are multiples of the step, the default inside."""
    for advice in SIZE_ADVICE.values():
        assert all(advice.covers(s) for s in (advice.smallest, advice.default, advice.largest))
        assert not advice.covers(advice.smallest + 1)


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    """No text is missing in a language, and both fill in the same values."""
    zh, en = texts("zh"), texts("en")
    assert set(zh) == set(en)
    places = re.compile(r"\{(\w+)\}")
    wrong = [key for key in zh if set(places.findall(zh[key])) != set(places.findall(en[key]))]
    assert wrong == []


def test_every_text_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    """HTML and code name only texts that exist, and no text is left over."""
    source = "\n".join(path.read_text("utf-8") for path in files(".html", ".js"))
    literal = re.compile(r'(?:data-text="|data-label="|\bt\("|key: ")([^"]+)"')
    named = set(literal.findall(source))
    # t(`job.${stage}`) names every text of that shape
    shapes = [re.split(r"\$\{.*?\}", text) for text in re.findall(r"\bt\(`([^`]+)`", source)]
    patterns = [re.compile(r"[\w.]+".join(map(re.escape, parts))) for parts in shapes]
    keys = set(texts("en"))
    assert named - keys == set()
    assert {key for key in keys - named if not any(p.fullmatch(key) for p in patterns)} == set()


def test_every_notice_has_its_text() -> None:
    """The page has words for each notice of our nodes, and they fill in its values alone."""
    places = re.compile(r"\{(\w+)\}")
    for language in ("zh", "en"):
        told = {
            key.removeprefix("notice."): set(places.findall(text))
            for key, text in texts(language).items()
            if key.startswith("notice.")
        }
        assert set(told) == set(NOTICES)
        for name, text in NOTICES.items():
            assert told[name] <= set(places.findall(text)), name


def test_the_page_names_no_other_host() -> None:
    """No file of the page points anywhere but at its own service (SVG's namespace aside)."""
    for path in files(".html", ".js", ".css", ".svg"):
        source = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|[\"'(]//", source), path.name


def test_no_code_parses_text_as_html() -> None:
    """What a file name or an error message holds can only ever become text."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|DOMParser"
    )
    assert [path.name for path in files(".js") if forbidden.search(path.read_text("utf-8"))] == []
