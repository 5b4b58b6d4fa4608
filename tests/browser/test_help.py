"""A word explains itself by pointing, by focus and by press, also in parts of the page that came later."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import scenes
from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser
TARGET = "/targets/staging-chat/"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("help")) as found:
        scenes.make(found.daphne, "failing", "--targets", "2", "--minutes", "20")
        yield found
        found.close()


def test_a_word_explains_itself_by_pointing_by_focus_and_by_press(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(TARGET)
    kind = page.locator(".facts [data-help^='kind:']").first
    box = page.locator("#help")
    kind.hover()
    expect(box).to_contain_text("Accepted, then silence until the deadline.")
    box.get_by_role("link", name="Open the runbook").hover()  # the way there does not close it
    page.wait_for_timeout(400)  # longer than the patience of the popover
    expect(box).to_be_visible()
    page.mouse.move(2, 2)
    expect(box).to_be_hidden()
    _by_keyboard(page)
    _by_press(page)
    kind.click()
    box.get_by_role("link", name="Open the runbook").click()
    expect(page).to_have_url(re.compile(r"/docs/failures/#not_ready$"))
    expect(page.locator("#not_ready")).to_be_in_viewport()


def _by_keyboard(page: Page) -> None:
    heading = page.locator("#governing h2 button")
    heading.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    box = page.locator("#help")
    expect(box).to_contain_text("The flags that decide when this target's connections count as ready")
    expect(heading).to_have_attribute("aria-describedby", "help-text")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    expect(heading).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(box.get_by_role("link", name="More in Help")).to_be_focused()
    page.keyboard.press("Escape")
    expect(heading).to_be_focused()


def _by_press(page: Page) -> None:
    # As the live update does it: a fragment from the server in place of what was there.
    page.evaluate("document.getElementById('changes').innerHTML = document.getElementById('changes').innerHTML")
    box, word = page.locator("#help"), page.locator("#changes h2 button")
    word.click()
    expect(box).to_contain_text("The newest changes of flags that govern this target")
    word.click()
    expect(box).to_be_hidden()
    word.click()
    page.get_by_role("heading", name="Probes", exact=True).click()
    expect(box).to_be_hidden()
