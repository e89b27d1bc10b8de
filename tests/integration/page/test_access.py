"""The page for everybody: languages, keyboard, phone, contrast, motion."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.page import SLOW_MS, OpenPage, hand_in, job, photo, wait_until_done
from tests.support.service_process import ServiceProcess

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}

CONTRAST = (Path(__file__).parents[2] / "support" / "contrast.js").read_text("utf-8")


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def test_the_line_moves_by_dragging_and_by_keys(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Dragging on the picture and arrow keys on the slider both move the line between pictures."""
    page = open_page(service)
    hand_in(page, photo(tmp_path))
    wait_until_done(page)
    figure, slider = page.locator(".compare"), page.locator(".compare-range")
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 10, steps=4)
    page.mouse.up()
    assert slider.input_value() == "80"
    page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "79"
    assert figure.evaluate("element => element.style.getPropertyValue('--split')") == "79%"
    expect(slider).to_have_attribute("aria-valuetext", re.compile("79"))


def test_the_language_is_switched_and_remembered(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Chinese at first; English after the switch, for photos in work too, and after a reload."""
    page = open_page(service)
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    hand_in(page, photo(tmp_path))
    wait_until_done(page)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Download 外婆.png in colour")).to_be_visible()
    assert (
        re.search("[\u4e00-\u9fff]", page.locator("main").inner_text().replace("外婆", "")) is None
    )
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bring colour back")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_everything_works_by_keyboard_alone(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Tab, arrows and Enter choose, set, start, compare, download and remove."""
    page = open_page(service)
    # Chromium is told to hand choosers to us with the first listener; told so only at the key
    # press, it can be too late.
    page.on("filechooser", lambda _: None)
    press = page.keyboard.press
    press("Tab")
    expect(page.locator("#language")).to_be_focused()
    press("Tab")
    expect(page.locator("#files")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files(photo(tmp_path))
    expect(page.locator("#chosen li")).to_have_count(1)
    press("Tab")
    expect(page.get_by_role("button", name="移除 外婆.png")).to_be_focused()
    press("Tab")
    press("ArrowRight")
    expect(page.locator("#building")).to_be_checked()
    press("ArrowLeft")
    press("Tab")
    press("Tab")
    expect(page.locator("#size")).to_be_focused()
    press("ArrowLeft")
    assert page.locator("#size").input_value() == "480"
    press("Tab")
    press("Tab")
    expect(page.locator("#start")).to_be_focused()
    press("Enter")
    expect(page.locator("#work-title")).to_be_focused()
    wait_until_done(page)
    press("Tab")
    expect(page.locator(".compare-range")).to_be_focused()
    press("Tab")
    with page.expect_download():
        press("Enter")
    press("Tab")
    press("Tab")
    press("Enter")
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#files")).to_be_focused()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_phone_never_scrolls_sideways(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path, language: str
) -> None:
    """At 360 pixels every state fits, also with a long name that has no space in it."""
    page = open_page(service, **PHONE)
    if language == "en":
        page.locator("#language").tap()
    assert not scrolls_sideways(page)
    good = photo(tmp_path, "x" * 120 + ".png", width=2200, height=900)
    bad = tmp_path / ("坏" * 60 + ".png")
    bad.write_bytes(b"no photo")
    page.locator("#files").set_input_files([good, bad])
    expect(page.locator("#chosen li .warning:not([hidden])")).to_have_count(2)
    assert not scrolls_sideways(page)
    page.locator("#start").tap()
    expect(job(page, "failed")).to_have_count(1, timeout=SLOW_MS)
    page.locator(".job[data-stage=failed] summary").tap()
    assert not scrolls_sideways(page)
    wait_until_done(page)
    assert not scrolls_sideways(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path, scheme: str
) -> None:
    """In both colour schemes every text of a busy page reaches WCAG's AA."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no photo")
    page = open_page(service, color_scheme=scheme, reduced_motion="reduce")
    hand_in(page, bad, photo(tmp_path))
    wait_until_done(page)
    page.locator("#files").set_input_files(photo(tmp_path, "large.png", 2100, 20))
    expect(page.locator("#chosen .warning")).to_be_visible()
    assert page.evaluate(CONTRAST) == []


def test_reduced_motion_is_respected(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Nothing on the page moves by itself for people who asked for that."""
    service.arm("slow_inference", seconds=60)
    page = open_page(service, reduced_motion="reduce")
    hand_in(page, photo(tmp_path))
    expect(job(page, "running")).to_have_count(1, timeout=SLOW_MS)
    assert page.evaluate("document.getAnimations().length") == 0
    page.get_by_role("button", name=re.compile("取消")).click()
    expect(job(page, "cancelled")).to_have_count(1)
