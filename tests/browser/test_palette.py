"""Keys in a browser: the palette finds and opens, single keys act only when nobody types, and can be switched off."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make
from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("palette")) as found:
        make(found.daphne, "failing", "--targets", "3", "--minutes", "2")
        yield found
        found.close()


def test_a_person_goes_from_anywhere_to_the_failing_target_and_back_by_keys_alone(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto("/audit/")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Target, page or act")
    expect(field).to_be_focused()
    page.keyboard.type("staging chat")
    expect(page.locator("#palette-list").get_by_role("option").first).to_contain_text("Staging chat")
    expect(field).to_have_attribute("aria-activedescendant", "palette-option-0")
    page.keyboard.press("Enter")
    page.wait_for_url("**/targets/staging-chat/")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url(re.compile(r"/$"))
    expect(page.locator("#live")).to_have_text("Live")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_label("Account of Rosa").click()
    page.get_by_role("button", name="Single-key shortcuts").click()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("no such thing")
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
