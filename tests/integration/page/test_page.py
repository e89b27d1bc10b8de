"""From a chosen photo to the picture, or to the reason why there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Route, expect

from comfyui_telemetry.catalogue import CATALOGUE
from tests.support.page import SLOW_MS, OpenPage, downloaded, hand_in, job, photo, wait_until_done
from tests.support.service_process import ServiceProcess


def test_a_photo_becomes_a_coloured_picture(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A chosen photo is restored, compared in its own size, and the download has colour."""
    page = open_page(service)
    hand_in(page, photo(tmp_path))
    wait_until_done(page)
    for picture in (".compare .before", ".compare .after"):
        size = page.locator(picture).evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert size == [96, 72]
    result = downloaded(page)
    pixels = np.asarray(result.convert("RGB")).astype(int)
    assert result.size == (96, 72)
    assert np.abs(pixels[..., 0] - pixels[..., 2]).mean() > 20


@pytest.mark.parametrize("kind", ["decode_failed", "image_truncated"])
def test_a_wrong_file_is_explained(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path, kind: str
) -> None:
    """A file that is no photo, or half of one, says so with the catalogue's title and advice."""
    path = photo(tmp_path, "旧照.png")
    path.write_bytes(b"no photo" * 9 if kind == "decode_failed" else path.read_bytes()[:-60])
    page = open_page(service)
    hand_in(page, path)
    failed = job(page, "failed")
    entry = CATALOGUE[kind]
    assert entry.user_action is not None
    expect(failed.get_by_role("heading", name=entry.title.zh)).to_be_visible(timeout=SLOW_MS)
    expect(failed).to_contain_text(entry.user_action.zh)
    expect(failed.locator("code")).to_have_text(re.compile("[0-9a-f]{32}"))
    expect(failed.get_by_role("button", name=re.compile("重试"))).to_be_hidden()
    expect(page.locator("#announcer")).to_contain_text(entry.title.zh)


def test_a_file_of_another_type_is_not_sent(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A text file is skipped with its name, whatever that holds; the photo beside it stays."""
    hostile = tmp_path / "<img src=x onerror=alert(1)>.txt"
    hostile.write_text("text")
    page = open_page(service)
    page.locator("#files").set_input_files([hostile, photo(tmp_path)])
    expect(page.get_by_role("alert")).to_contain_text(hostile.name)
    expect(page.locator("#chosen li")).to_have_count(1)


def test_photos_can_be_dropped_anywhere(service: ServiceProcess, open_page: OpenPage) -> None:
    """A photo dropped beside the field is taken too, instead of being opened by the browser."""
    page = open_page(service)
    dropped = page.evaluate_handle(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File(["x"], "老屋.jpg", { type: "image/jpeg" }));
          return transfer;
        }"""
    )
    page.locator("footer").dispatch_event("dragenter", {"dataTransfer": dropped})
    expect(page.locator("#drop")).to_have_class(re.compile("over"))
    page.locator("footer").dispatch_event("drop", {"dataTransfer": dropped})
    expect(page.locator("#chosen")).to_contain_text("老屋.jpg")
    expect(page.locator("#drop")).not_to_have_class(re.compile("over"))


def test_a_photo_chosen_while_the_page_loads_is_taken(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A photo that is chosen before the page's code is ready is there once it is."""
    page = open_page(service)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/page/catalogue.json", hold)
    with page.expect_request("**/page/catalogue.json"):
        page.reload(wait_until="commit")
    page.locator("#files").set_input_files(photo(tmp_path))
    expect(page.locator("#chosen li")).to_have_count(0)
    held[0].continue_()
    expect(page.locator("#chosen li")).to_have_count(1)


def test_the_page_works_below_a_path(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Behind a proxy that serves it below a path, and passes no WebSocket, the page works."""
    page = open_page(service)
    page.route(
        re.compile("/photos/"),
        lambda route: route.continue_(url=route.request.url.replace("photos/", "")),
    )
    page.goto(f"{service.url}photos/")
    hand_in(page, photo(tmp_path))
    wait_until_done(page)


def test_a_file_beyond_the_limit_is_not_sent(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A file that the service would refuse for its size is refused before it is uploaded."""
    page = open_page(service)
    page.route("**/features", lambda route: route.fulfill(json={"max_upload_size": 10}))
    page.route("**/upload/image", lambda route: route.abort())
    hand_in(page, photo(tmp_path))
    expect(job(page, "failed")).to_contain_text(CATALOGUE["image_too_large"].title.zh)


def test_a_hostile_file_name_stays_text(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Markup in a photo's name is shown as it is and never sent to the service."""
    path = photo(tmp_path, "<img src=x onerror=alert(1)>.png")
    page = open_page(service)
    names: list[str] = []
    page.on("request", lambda request: names.append(request.post_data or ""))
    hand_in(page, path)
    wait_until_done(page)
    expect(page.get_by_role("heading", name=path.name)).to_be_visible()
    assert not any("onerror" in text for text in names)


def test_several_photos_know_their_place_and_can_be_cancelled(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Waiting photos tell how many are ahead; cancelled ones leave, also the running one."""
    service.arm("slow_inference", seconds=60)
    page = open_page(service)
    hand_in(page, *(photo(tmp_path, f"{n}.png", width=90 + n) for n in range(3)))
    expect(job(page, "running")).to_have_count(1, timeout=SLOW_MS)
    expect(page.get_by_text("前面还有 2 张")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="取消 1.png").click()
    expect(page.get_by_text("前面还有 1 张")).to_be_visible(timeout=SLOW_MS)
    page.get_by_role("button", name="取消 0.png").click()
    wait_until_done(page)
    expect(job(page, "cancelled")).to_have_count(2)
    assert not page.evaluate("fetch('queue').then(r => r.json()).then(q => q.queue_running.length)")


def test_progress_names_the_node(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """While the model works, the page shows colouring as the step, with those before it done."""
    service.arm("slow_inference", seconds=60)
    page = open_page(service)
    hand_in(page, photo(tmp_path))
    step = page.locator(".steps [data-at=now]")
    expect(step).to_have_text("上色", timeout=SLOW_MS)
    expect(page.locator(".steps [data-at=past]")).to_have_text(["上传", "排队", "读取照片"])
    expect(page).to_have_title(re.compile(r"\(0/1\)"))
    page.get_by_role("button", name=re.compile("取消")).click()
    expect(job(page, "cancelled")).to_have_count(1)


def test_the_size_is_advised_while_choosing(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """The advice follows the kind of photo, steps are of 32, long photos are warned of."""
    page = open_page(service)
    size, hint = page.locator("#size"), page.locator("#size-hint")
    assert size.input_value() == "512"
    expect(hint).to_have_class(re.compile("good"))
    page.get_by_text("建筑", exact=True).click()
    assert size.input_value() == "1024"
    for _ in range(3):
        page.get_by_role("button", name="减小尺寸").click()
    assert size.input_value() == str(1024 - 3 * 32)
    expect(hint).to_contain_text("960–1280")
    expect(hint).to_have_class(re.compile("warning"))
    page.locator("#files").set_input_files(photo(tmp_path, width=2200, height=20))
    expect(page.locator("#chosen")).to_contain_text("2200 × 20")
    expect(page.locator("#chosen")).to_contain_text("超过 2000 像素")


def test_what_the_service_notices_is_said_in_both_languages(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """What a node noticed stands with the picture, in either language and after a reload."""
    page = open_page(service)
    page.locator("#size").fill("256")
    hand_in(page, photo(tmp_path, width=2100, height=40))
    wait_until_done(page)
    notice = job(page, "done").locator(".notice")
    expect(notice).to_contain_text("256 像素不在建议范围 480–672 内")
    expect(notice).to_contain_text("照片长边超过 2000 像素")
    page.reload()
    wait_until_done(page)
    page.get_by_role("button", name="English").click()
    expect(notice).to_contain_text("256 pixels is outside the advised 480–672")


def test_the_size_and_kind_reach_the_prompt(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """The prompt holds the chosen size and says which workflow and scenario it is."""
    page = open_page(service)
    page.get_by_text("建筑", exact=True).click()
    page.locator("#size").fill("256")
    with page.expect_request("**/prompt") as sent:
        hand_in(page, photo(tmp_path))
    body = json.loads(sent.value.post_data or "")
    assert body["prompt"]["2"]["inputs"]["model_input_size"] == 256
    assert body["extra_data"] == {"workflow_name": "DDColor建筑黑白修复", "scenario": "building"}
    wait_until_done(page)


def test_settings_can_be_changed_for_a_photo_that_is_done(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A photo goes back to the choice with its settings, and the size has the focus."""
    page = open_page(service)
    page.locator("#size").fill("576")
    hand_in(page, photo(tmp_path))
    wait_until_done(page)
    page.locator("#size").fill("480")
    page.get_by_role("button", name="换设置再做 外婆.png").click()
    expect(page.locator("#chosen li")).to_have_count(1)
    expect(page.locator("#size")).to_be_focused()
    assert page.locator("#size").input_value() == "576"


def test_nothing_is_left_in_memory_of_a_removed_photo(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Removing the photos lets go of every object URL that the page made."""
    page = open_page(service)
    hand_in(page, photo(tmp_path), photo(tmp_path, "b.png", width=88))
    wait_until_done(page, 2)
    assert page.evaluate("living.size") == 4
    for _ in range(2):
        page.get_by_role("button", name=re.compile("^移除")).first.click()
    expect(page.locator("#work")).to_be_hidden()
    assert page.evaluate("living.size") == 0


def test_start_without_a_photo_says_what_is_missing(
    service: ServiceProcess, open_page: OpenPage
) -> None:
    """Starting with nothing chosen is told by an alert and leads to the choice."""
    page = open_page(service)
    page.locator("#start").click()
    expect(page.get_by_role("alert")).to_contain_text("请先选择")
    expect(page.locator("#files")).to_be_focused()
