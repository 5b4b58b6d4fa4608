"""The overview with nothing, with very much, and over a slow line: what a person sees in each state."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Route, expect

from tests.browser.scenes import make
from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser
MANY = 500


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("states")) as found:
        yield found
        found.close()


def test_from_nothing_to_five_hundred_targets_without_a_reload_by_hand(web: Site) -> None:
    page = web.visit("Ada", "administrator", width=390)
    page.goto("/")
    expect(page.get_by_role("heading", name="No targets yet")).to_be_visible()
    expect(page.get_by_role("link", name="Add target")).to_be_visible()
    make(web.daphne, "failing", "--targets", str(MANY), "--minutes", "1")
    expect(page.locator(".target")).to_have_count(MANY, timeout=15_000)
    expect(page.locator("#live")).to_have_text("Live")
    page.goto("/?q=staging-chat")
    expect(page.locator(".target:not([hidden])")).to_have_count(1)
    assert not scrolls_sideways(page)

    # A slow line: what is there stays, and stays readable, until the new range has come.
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.goto("/targets/staging-chat/")
    page.locator(".main-svg").first.wait_for()
    page.route("**/figures.json*", hold)
    with page.expect_request("**/figures.json*"):
        page.get_by_role("link", name="6 h", exact=True).click()
    expect(page.locator("#chart-race .main-svg").first).to_be_visible()
    expect(page.locator("#chart-race [data-lede]")).not_to_be_empty()
    for route in held:
        route.continue_()
    page.unroute("**/figures.json*")
    expect(page.locator("#chart-race [data-hint]")).to_contain_text("by minute")
