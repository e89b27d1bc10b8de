"""What the page does when the service fails, goes away or asks who is there."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import WebSocket, expect

from comfyui_telemetry.catalogue import CATALOGUE
from tests.support.page import SLOW_MS, OpenPage, hand_in, job, photo, wait_until_done
from tests.support.service_process import ServiceProcess

API_TOKEN = "an-api-token-of-the-tests"


def test_a_restart_in_between_is_survived(
    own_service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Stopped while a photo is worked on and started again, the service's photo still comes."""
    own_service.arm("slow_inference", seconds=60)
    page = open_page(own_service)
    hand_in(page, photo(tmp_path))
    expect(job(page, "running")).to_have_count(1, timeout=SLOW_MS)
    own_service.stop()
    expect(page.locator("#connection")).to_contain_text("自动重连", timeout=SLOW_MS)
    own_service.start()
    wait_until_done(page)
    expect(page.locator("#connection")).to_be_hidden()
    expect(page.get_by_text("已自动重新提交")).to_be_hidden()


def test_a_photo_that_a_crash_lost_is_sent_again(
    own_service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """Killed and without its queue, the service gets the photo again, and the page says so."""
    own_service.arm("slow_inference", seconds=60)
    page = open_page(own_service)
    hand_in(page, photo(tmp_path))
    expect(job(page, "running")).to_have_count(1, timeout=SLOW_MS)
    own_service.stop(signal.SIGKILL)
    (own_service.state / "queue.jsonl").unlink()
    own_service.start()
    wait_until_done(page)
    expect(page.get_by_text("已自动重新提交")).to_be_visible()


def test_a_service_that_is_away_at_the_start_is_waited_for(
    own_service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """A photo handed in while the service is gone is uploaded when it is back."""
    page = open_page(own_service)
    own_service.stop()
    hand_in(page, photo(tmp_path))
    expect(page.locator("#connection")).to_be_visible(timeout=SLOW_MS)
    own_service.start()
    wait_until_done(page)


def test_a_silent_socket_does_not_matter(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """With a WebSocket that never says anything the photo is found by asking."""
    page = open_page(service)
    page.route_web_socket(re.compile("/ws"), lambda _: None)
    hand_in(page, photo(tmp_path))
    wait_until_done(page)


@pytest.mark.parametrize("kind", ["out_of_memory", "model_not_loaded", "output_damaged"])
def test_a_fault_of_the_service_is_explained_and_can_be_tried_again(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path, kind: str
) -> None:
    """A failed node says what happened, what to do and the prompt's id; trying again helps."""
    service.arm({"model_not_loaded": "missing_checkpoint"}.get(kind, kind))
    page = open_page(service)
    hand_in(page, photo(tmp_path, width=101))
    failed = job(page, "failed")
    entry = CATALOGUE[kind]
    assert entry.user_action is not None
    expect(failed).to_contain_text(entry.title.zh, timeout=SLOW_MS)
    expect(failed).to_contain_text(entry.user_action.zh)
    expect(failed.locator("code")).to_have_text(re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4"))
    page.get_by_role("button", name=re.compile("重试")).click()
    wait_until_done(page)


def test_a_reload_keeps_the_photos(
    service: ServiceProcess, open_page: OpenPage, tmp_path: Path
) -> None:
    """After a reload in the middle of the work the picture still comes, with its original."""
    service.arm("slow_inference", seconds=3)
    page = open_page(service)
    hand_in(page, photo(tmp_path))
    expect(job(page, "running")).to_have_count(1, timeout=SLOW_MS)
    page.reload()
    wait_until_done(page)
    expect(page.locator(".compare .before")).to_have_count(1)
    expect(page.get_by_role("heading", name="外婆.png")).to_be_visible()


def test_a_token_is_asked_for_and_a_wrong_one_again(open_page: OpenPage, tmp_path: Path) -> None:
    """A protected service makes the page ask, and ask again after a wrong token.

    With the right one the page hears of its photo by the WebSocket too, as it does without one.
    """
    heard: list[str] = []

    def listen(socket: WebSocket) -> None:
        assert API_TOKEN not in socket.url
        socket.on("framereceived", lambda frame: heard.append(str(frame)))

    secret = tmp_path / "token"
    secret.write_text(API_TOKEN)
    service = ServiceProcess(tmp_path, "--api-token-file", str(secret)).start()
    try:
        page = open_page(service)
        page.on("websocket", listen)
        expect(page.get_by_role("dialog")).to_be_hidden()
        hand_in(page, photo(tmp_path))
        for token in ("wrong", API_TOKEN):
            expect(page.get_by_role("dialog")).to_be_visible()
            page.get_by_label("访问令牌", exact=True).fill(token)
            page.keyboard.press("Enter")
        wait_until_done(page)
        assert any('"type":"execution_success"' in text for text in heard)
        output = service.output()
        assert API_TOKEN not in output
        assert "bearer." not in output
    finally:
        service.stop()
