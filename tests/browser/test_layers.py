"""Kill, lift and ramp in a browser, on a phone: the preview follows the choice, and nothing scrolls sideways."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("layers")) as found:
        yield found
        found.close()


def test_a_flag_is_ramped_killed_and_lifted_from_its_page(web: Site) -> None:
    page = web.visit("Rosa", "responder", width=390)
    page.goto("/flags/?env=staging")
    page.get_by_role("link", name="readiness-strategy", exact=True).click()
    page.get_by_role("link", name="Ramp…").click()
    expect(page.locator("#act")).to_contain_text("Nothing chosen yet")
    page.get_by_label("Serve").select_option("ready_ack")
    expect(page.locator("#act .diff-add")).to_contain_text("ready_ack for 1")
    page.get_by_role("button", name="Quick").click()
    expect(page.locator("#act .diff-add")).to_contain_text("ready_ack for 10")
    assert not scrolls_sideways(page)
    page.get_by_role("button", name="Trying another strategy").click()
    page.get_by_role("button", name="Start the ramp of readiness-strategy in staging").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Revision 2 is served")
    page.goto("/flags/staging/readiness-strategy/")
    expect(page.locator("[aria-current=step]")).to_contain_text("left")
    assert not scrolls_sideways(page)
    page.get_by_role("link", name="Kill…").click()
    page.get_by_label("Until").select_option("60")
    page.get_by_role("button", name="Accepted but not ready").click()
    page.get_by_role("button", name="Kill readiness-strategy in staging").click()
    expect(page.get_by_text("readiness-strategy killed")).to_be_visible()
    page.get_by_role("link", name="Undo revision 3…").click()
    expect(page.locator("#act .diff-add")).to_contain_text("ready_ack for 10")
    page.get_by_role("button", name="The cause is fixed").click()
    page.get_by_role("button", name="Lift the kill of readiness-strategy in staging").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Revision 4 is served")
    page.goto("/flags/staging/readiness-strategy/")
    expect(page.locator("[aria-current=step]")).to_contain_text("Paused")
