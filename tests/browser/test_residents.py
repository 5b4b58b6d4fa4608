"""Long-lived connections in a browser: drawn without a script, kept up to date, and narrow enough for a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make
from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser
PAGE = "/targets/chat/"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("residents")) as found:
        make(found.daphne, "residents", "--targets", "1", "--minutes", "40")
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


@pytest.mark.parametrize("width", [320, 1440])
def test_lanes_and_marks_are_drawn_at_every_width(web: Site, width: int) -> None:
    page = web.visit("Vera", "viewer", width=width)
    page.goto(PAGE + "?range=1h")
    panel = page.locator("#residents")
    panel.scroll_into_view_if_needed()
    expect(panel.locator(".lane-track")).to_have_count(4)
    track = panel.locator(".lane-track").first.bounding_box()
    assert track
    marks = panel.locator(".lane-track").first.locator(".cut")
    assert marks.count() >= 6
    for mark in (marks.first, marks.last):
        box = mark.bounding_box()
        assert box
        assert track["x"] - 8 <= box["x"] <= track["x"] + track["width"] + 8
    assert not scrolls_sideways(page)


def test_it_is_there_without_any_script(web: Site) -> None:
    page = web.visit("Vera", "viewer", javascript=False)
    page.goto(PAGE + "?range=1h")
    expect(page.locator("#residents .lane-track")).to_have_count(4)


def test_another_range_redraws_it_in_place(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE + "?range=1h")
    expect(page.locator("#residents .lede")).to_contain_text("in the last 1\u00a0h")
    page.evaluate("window.kept = true")
    page.locator("#ranges").get_by_text("6 h").click()
    expect(page.locator("#residents .lede")).to_contain_text("in the last 6\u00a0h")
    assert page.evaluate("window.kept")


def test_it_is_not_replaced_under_a_pointer(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE + "?range=1h")
    expect(page.locator("#live")).to_have_text("Live")
    panel = page.locator("#residents")
    panel.scroll_into_view_if_needed()
    panel.locator("h2").hover()
    page.evaluate("document.querySelector('#ranges [data-range=\"6h\"]').click()")
    expect(page.locator("#chart-race [data-hint]")).to_contain_text("by minute")
    page.wait_for_timeout(2_000)
    expect(panel.locator(".lede")).to_contain_text("in the last 1\u00a0h")
    page.mouse.move(0, 0)
    expect(panel.locator(".lede")).to_contain_text("in the last 6\u00a0h")
