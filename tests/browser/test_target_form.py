"""The form of a target in a browser: what it says while one types."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("form")) as served:
        yield served


@pytest.fixture
def visited(running: Site) -> Iterator[Site]:
    yield running
    running.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_an_address_that_probes_would_refuse_is_told_while_one_types(visited: Site, width: int) -> None:
    """Below the field that says what is dialled; gone again with a better one. Nothing grows wider than the page."""
    page = visited.visit("Ada", "administrator", width=width)
    page.goto("/targets/add/")
    address = page.get_by_label("Address", exact=True)
    address.fill("ws://10.0.0.7/ws")
    address.press("Tab")
    expect(page.locator("#url-warning")).to_contain_text("Probes will not dial this: 10.0.0.7 is a private address")
    page.get_by_text("How it is reached").click()
    node = page.get_by_label("Node to dial")
    node.fill("192.168.7.20:8443")
    node.press("Tab")
    expect(page.locator("#address-warning")).to_contain_text("192.168.7.20 is a private address")
    assert not scrolls_sideways(page)
    node.fill("")
    address.fill("wss://chat.example/ws")
    address.press("Tab")
    expect(page.locator("#url-warning")).to_be_empty()
