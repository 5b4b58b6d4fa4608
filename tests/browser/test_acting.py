"""From a failing target: undo beside the charts, watch the verdict; what others on the page see meanwhile."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make, results
from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser
PAGE = "/targets/staging-chat/"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("acting")) as found:
        make(found.daphne, "failing", "--targets", "1", "--minutes", "10")
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def test_a_fault_is_undone_beside_the_charts_and_two_people_see_each_other(web: Site) -> None:
    """By keyboard on a desktop; a viewer looks on, on a phone."""
    rosa, vera = web.visit("Rosa", "responder"), web.visit("Vera", "viewer", width=390)
    for page in (rosa, vera):
        page.goto(PAGE)
        expect(page.locator("#live")).to_have_text("Live")
    expect(vera.locator("#present")).to_have_text("Rosa is here too")
    rosa.keyboard.press("u")
    panel = rosa.locator("#act-panel")
    expect(panel.get_by_role("heading", name="Undo revision 2")).to_be_focused()
    expect(rosa).to_have_url(re.compile("act=undo"))
    expect(vera.locator("#story .acting-note")).to_have_text("Rosa is undoing revision 2")
    rosa.reload()
    panel.get_by_role("button", name=re.compile("Accepted but not ready since")).click()
    rosa.keyboard.press("Tab")
    rosa.keyboard.press("Enter")
    expect(panel.get_by_role("heading", name="Revision 3 is served")).to_be_focused()
    expect(rosa).to_have_url(re.compile("act=r3"))
    verdict = panel.locator(".verdict")
    expect(verdict).to_contain_text("No probe since revision 3.")
    expect(panel.locator(".watch-late")).to_contain_text("staging-chat-1", timeout=5_000)
    for number in (1, 2):
        web.report("staging", name := f"staging-chat-{number}", 3, run=name)
    expect(panel.locator(".cell--on")).to_have_count(2)
    results(web.daphne, "staging-chat", 12, fail=False, revision=3)
    expect(verdict).to_contain_text(re.compile(r"12.clean probes; 30 needed"))
    results(web.daphne, "staging-chat", 20, fail=False, revision=3)
    expect(verdict).to_contain_text("Cured. 0 of 32")
    expect(vera.locator("#banners")).to_contain_text("Revision 3 was made by Rosa.")
    vera.get_by_role("link", name="Watch it").click()
    expect(vera.locator("#act-sheet .verdict")).to_contain_text("Cured.")
    assert not scrolls_sideways(vera)
    rosa.get_by_role("link", name="Done").click()
    expect(rosa).not_to_have_url(re.compile("act="))
