"""Every page against axe-core, our policy for content and the window."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.every_page import NO_PAGES, PAGES, address, furnish, named_addresses
from tests.browser.visit import Site, scrolls_sideways, site
from tests.support.examples import at_full_size
from tests.support.node_clients import install

pytestmark = pytest.mark.browser
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MAIN = frozenset({"overview", "target", "target_act", "flags", "flag", "strategies", "fleet", "undo"})
"""Examined in both themes and on a phone each time; the others in the dark alone, unless `make proof` runs this."""
_RUN = """async ([runOnly, rules]) => {
  const found = await axe.run(document, { runOnly, rules, resultTypes: ["violations"] });
  return found.violations.map(({ id, impact, nodes }) => ({
    id, impact, nodes: nodes.map((node) => `${node.target} ${node.failureSummary}`),
  }));
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    return (install() / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("accessible")) as found:
        furnish(found.daphne)
        yield found
        found.close()


@pytest.fixture(scope="module")
def wide(web: Site) -> Page:
    return web.visit("Ada", "administrator")


def faults(page: Page, only: list[str] | None = None, **rules: bool) -> list[dict[str, Any]]:
    """What axe-core finds now by these rules, by all of them unless some are named; `rules` switches single ones."""
    switched = {name.replace("_", "-"): {"enabled": on} for name, on in rules.items()}
    found: list[dict[str, Any]] = page.evaluate(_RUN, [only or TAGS, switched])
    return found


def themed(page: Page, theme: str) -> None:
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)


def test_no_page_is_forgotten() -> None:
    assert named_addresses() == PAGES.keys() | NO_PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_fault_in_its_themes_nor_a_window_too_narrow(wide: Page, axe: str, name: str) -> None:
    page = wide
    page.set_viewport_size({"width": 1440, "height": 844})
    answer = page.goto(address(name))
    assert answer is not None
    assert answer.status == 200
    page.evaluate(axe)
    themed(page, "dark")
    found = faults(page)
    if name in MAIN or at_full_size():
        # A theme changes colours alone.
        themed(page, "light")
        found += faults(page, ["color-contrast"])
        page.set_viewport_size({"width": 390, "height": 844})
        found += faults(page, color_contrast=False)
    assert found == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert not scrolls_sideways(page)


def test_the_palette_and_the_list_of_keys_have_no_fault(wide: Page, axe: str) -> None:
    page = wide
    page.set_viewport_size({"width": 1440, "height": 844})
    page.goto("/")
    page.evaluate(axe)
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-list").get_by_role("option").first).to_be_visible()
    found = faults(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    assert found + faults(page) == []


def test_a_word_that_explains_itself_has_no_fault(wide: Page, axe: str) -> None:
    page = wide
    page.set_viewport_size({"width": 1440, "height": 844})
    page.goto("/targets/staging-chat/")
    page.evaluate(axe)
    page.locator(".facts [data-help^='kind:']").first.press("Enter")
    expect(page.locator("#help")).to_be_visible()
    assert faults(page) == []
