"""The charts of a target by hand: one stretch of time, one cursor, and probes selected on them."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.gestures import drag
from tests.browser.scenes import make
from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser
PAGE = "/targets/staging-chat/?range=1h"
FIXED = re.compile(r"from=\d{8}T\d{6}Z&to=\d{8}T\d{6}Z")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("charts")) as found:
        make(found.daphne, "failing", "--targets", "1", "--minutes", "60")
        yield found


def test_a_responder_zooms_reads_lists_and_comes_back(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    page.evaluate("window.kept = true")
    says, hint = page.locator("#cursor-says"), page.locator("#chart-race .hint")
    slider = page.get_by_label("Time cursor")
    drag(page, "race", (0.7, 0.5), (0.72, 0.5))
    expect(says).to_have_text("A zoom takes at least 4 columns.")
    drag(page, "race", (0.6, 0.5), (0.75, 0.5))
    expect(page).to_have_url(FIXED)
    expect(hint).to_contain_text("s")
    expect(page.get_by_role("button", name="Go live")).to_be_visible()
    expect(page.locator("#ranges [aria-current]")).to_have_count(0)
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(says).to_have_text(re.compile(r"\d\d:\d\d(:\d\d)?, p95 .* \d+ of \d+ failed"))
    assert slider.get_attribute("aria-valuetext") == says.inner_text()
    expect(page.locator("#chart-phases .plot-cursor")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#probe h2")).to_be_focused()
    page.locator("#probe .probe-link").first.click()
    expect(page.locator("#probe")).to_contain_text("Waterfall")
    page.keyboard.press("Escape")
    expect(page.locator("#probe .bucket-list")).to_be_visible()
    for _ in range(4):
        page.go_back()
    expect(page).to_have_url(re.compile("range=1h$"))
    expect(hint).to_contain_text("by minute")
    page.evaluate("document.dispatchEvent(new CustomEvent('command:pause'))")
    expect(page).to_have_url(FIXED)
    page.get_by_role("button", name="Go live").click()
    expect(page).to_have_url(re.compile("range=1h"))
    page.evaluate("document.dispatchEvent(new CustomEvent('command:range-shorter'))")
    expect(page.locator("#ranges [aria-current]")).to_have_text("15 min")
    assert page.evaluate("window.kept")
    web.close()


def test_an_area_tells_what_is_different_and_the_keyboard_selects_too(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    drag(page, "heat", (0.85, 0.1), (0.98, 0.5))
    expect(page.locator("#pick-says")).to_have_text(re.compile(r"\d\d:\d\d to .*: \d+ probes"))
    page.get_by_role("button", name="What is different about these?").click()
    answer = page.locator("#probe .probe")
    expect(answer).to_contain_text("immediate")
    expect(page).to_have_url(re.compile(r"picked=.*&ready=[\d.]+\.\.never"))
    page.reload()
    expect(answer).to_contain_text("immediate")
    page.get_by_label("Time cursor").focus()
    page.keyboard.press("End")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
    page.get_by_role("button", name="Zoom in").click()
    expect(page).to_have_url(FIXED)
    web.close()
