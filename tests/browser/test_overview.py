"""The overview in a browser: what is wrong is read first, arrives by itself, and moves nothing under a finger."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scenes import make, results, shifts, watch_shifts
from tests.browser.visit import Site, scrolls_sideways, site
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("overview")) as found:
        make(found.daphne, "failing", "--targets", "8", "--minutes", "20")
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def live(page: Page, path: str = "/") -> Page:
    """The page, once it says that it is live."""
    page.goto(path)
    expect(page.locator("#live")).to_have_text("Live")
    return page


def row(slug: str) -> str:
    return f'.target[data-slug="{slug}"]'


def order(page: Page) -> list[str]:
    found: list[str] = page.locator(".target:not([hidden])").evaluate_all("rows => rows.map(row => row.dataset.slug)")
    return found


def ribbon(page: Page, slug: str) -> dict[str, str]:
    """The ribbon's paths by class, as drawn."""
    drawn: dict[str, str] = page.locator(f"{row(slug)} .ribbon").evaluate(
        "svg => Object.fromEntries([...svg.children].map(path => [path.getAttribute('class'), path.getAttribute('d')]))"
    )
    return drawn


def test_the_story_the_title_and_the_icon_say_what_is_wrong(web: Site) -> None:
    results(web.daphne, "staging-chat", 6, fail=True)
    page = live(web.visit("Vera", "viewer"))
    expect(page.locator(".story").first).to_contain_text("Staging chat is accepted but not ready")
    expect(page).to_have_title(re.compile(r"^\d down · Readywire$"))
    assert "down" in (page.locator("#favicon").get_attribute("href") or "")


def test_a_failure_arrives_without_a_reload_and_in_place(web: Site) -> None:
    """The row is the same element; its ribbon is what the server would have drawn."""
    results(web.daphne, "presence", 3, fail=False)
    page = live(web.visit("Vera", "viewer"))
    page.evaluate("slug => { window.kept = document.querySelector(slug) }", row("presence"))
    results(web.daphne, "presence", 6, fail=True)
    state = page.locator(f"{row('presence')} .state")
    expect(state).to_have_text("Down")
    assert page.evaluate("slug => window.kept === document.querySelector(slug)", row("presence"))
    drawn = ribbon(page, "presence")
    page.reload()
    assert ribbon(page, "presence") == drawn
    results(web.daphne, "presence", 60, fail=False)


def test_rows_keep_their_place_while_somebody_points_at_them(web: Site) -> None:
    page = live(web.visit("Vera", "viewer"))
    before = order(page)
    page.locator(row(before[-1])).hover()
    results(web.daphne, before[-1], 6, fail=True)
    expect(page.locator(f"{row(before[-1])} .state")).to_have_text("Down")
    pill = page.get_by_role("button", name=re.compile("changed place. Sort now"))
    expect(pill).to_be_visible()
    assert order(page) == before
    pill.click()
    expect(pill).to_have_count(0)
    assert order(page).index(before[-1]) < len(before) - 1
    results(web.daphne, before[-1], 60, fail=False)


def test_nothing_shifts_while_numbers_change(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    watch_shifts(page)
    live(page)
    page.locator(".target").nth(3).hover()
    for number in range(3):
        results(web.daphne, "chat", 5 + number, fail=number == 1)
        letters = "d" * 6 if number == 1 else "u" * 5
        expect(page.locator(f"{row('chat')} .ribbon")).to_have_attribute("data-letters", re.compile(f"{letters}$"))
    assert shifts(page) == []
    results(web.daphne, "chat", 60, fail=False)


def test_a_new_target_appears_without_a_reload_even_while_somebody_points_at_a_row(web: Site) -> None:
    """And one that is taken away goes. The rows that were there stay the same elements in the same places."""
    page = live(web.visit("Vera", "viewer"))
    # From here on nothing is sorted: read before, the order could be another by the time a slow machine points.
    page.locator(".target:not([hidden])").nth(1).hover()
    before = order(page)
    page.evaluate("slug => { window.kept = document.querySelector(slug) }", row(before[1]))
    make(web.daphne, "target", "--slug", "newcomer")
    expect(page.locator(f"{row('newcomer')} .state")).to_have_text("Not probed yet")
    assert order(page) == [*before, "newcomer"]
    assert page.evaluate("slug => window.kept === document.querySelector(slug)", row(before[1]))
    results(web.daphne, "newcomer", 5, fail=False)
    expect(page.locator(f"{row('newcomer')} .state")).to_have_text("Up")
    make(web.daphne, "delete", "--slug", "newcomer")
    expect(page.locator(row("newcomer"))).to_have_count(0)
    assert order(page) == before


def test_a_page_that_is_open_elsewhere_asks_for_a_new_sign_in(web: Site) -> None:
    page = web.stranger()
    page.goto(web.link("Otto", "viewer"))
    live(page)
    elsewhere = page.context.new_page()
    elsewhere.goto("/")
    elsewhere.locator("#account summary").click()
    elsewhere.get_by_role("button", name="Sign out").click()
    expect(page.locator("#banners").get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-live", "away")


def test_a_filter_is_in_the_address_and_back_undoes_it(web: Site) -> None:
    results(web.daphne, "staging-chat", 6, fail=True)
    page = live(web.visit("Vera", "viewer"))
    everything = order(page)
    page.get_by_role("navigation", name="State").get_by_role("link", name="Down").click()
    expect(page).to_have_url(re.compile(r"/\?state=down$"))
    assert set(order(page)) < set(everything)
    page.reload()
    assert set(order(page)) < set(everything)
    page.go_back()
    wait_until(lambda: len(order(page)) == len(everything), what="all rows again")


def test_the_browser_arranges_as_the_server_does_and_all_of_it_is_in_the_address(web: Site) -> None:
    """Whatever is chosen: the same rows and headings as of the address opened afresh. Typing is one step for back."""
    make(web.daphne, "target", "--slug", "tagged")
    web.daphne.manage(
        "shell", "-c", "from probes.models import Target as T; T.objects.filter(slug='tagged').update(tags=['a', 'b'])"
    )
    page, plain = live(web.visit("Vera", "viewer")), web.visit("Vera", "viewer", javascript=False)
    entries = "nodes => nodes.map(node => node.dataset.slug ?? node.innerText.split('\\n')[0])"
    read = "#targets > :not([hidden])"
    search = page.get_by_role("searchbox", name="Search targets")
    chosen = (
        ("Sort", "name"), ("Group", "tag"), ("Tag", "b"), ("Tag", ""), ("Group", "environment"),
        ("Environment", "staging"), ("Sort", "ready"),
    )  # fmt: skip
    for label, value in chosen:
        page.get_by_label(label, exact=True).select_option(value)
        plain.goto(page.url)
        assert page.locator(read).evaluate_all(entries) == plain.locator(read).evaluate_all(entries), page.url
    page.keyboard.press("Escape")
    page.locator("h1").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("/")
    search.press_sequentially("staging cha", delay=20)
    expect(page).to_have_url(re.compile(r"env=staging&q=staging\+cha&group=environment&sort=ready$"))
    assert order(page) == ["staging-chat"]
    page.go_back()
    expect(page).to_have_url(re.compile(r"env=staging&group=environment&sort=name$"))
    expect(page.get_by_label("Sort", exact=True)).to_have_value("name")
    make(web.daphne, "delete", "--slug", "tagged")


def test_the_ribbons_tooltip_tells_what_a_slot_found(web: Site) -> None:
    results(web.daphne, "staging-chat", 3, fail=True)
    page = live(web.visit("Vera", "viewer"))
    drawn = page.locator(f"{row('staging-chat')} .ribbon")
    box = drawn.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 8)
    expect(page.locator("#tooltip")).to_contain_text("Failed")
    page.wait_for_timeout(300)
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 9)
    expect(page.locator("#tooltip")).to_contain_text(re.compile("not_ready|accept_race|event_lost"))


def test_numbers_of_a_page_that_is_cut_off_do_not_look_live(web: Site) -> None:
    """It says since when, dims, and comes back by itself when the server does."""
    page = live(web.visit("Vera", "viewer"))
    web.daphne.kill()
    expect(page.locator("#banners")).to_contain_text(re.compile(r"Reconnecting\. Numbers are from \d\d:\d\d:\d\d\."))
    expect(page.locator("html")).to_have_attribute("data-live", "away")
    expect(page.locator("#live")).to_have_text("Offline")
    web.daphne.restart()
    expect(page.locator("#live")).to_have_text("Live", timeout=20_000)
    expect(page.locator("#banners")).not_to_contain_text("Reconnecting")


def test_redis_away_is_a_banner_not_an_outage(web: Site) -> None:
    page = live(web.visit("Vera", "viewer"))
    expect(page.locator("#banners")).to_contain_text("Rollback still works.")


def test_a_chosen_theme_stays(web: Site) -> None:
    page = live(web.visit("Vera", "viewer"))
    page.locator("#account summary").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Light").click()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "light"
    page.locator("#account summary").click()
    page.get_by_role("button", name="System").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") is None


def test_the_overview_asks_for_no_plotly(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    live(page)
    assert asked
    assert not [url for url in asked if "plotly" in url]
    assert all(url.startswith((web.daphne.url, web.daphne.url.replace("http", "ws"), "data:")) for url in asked)


def test_no_width_scrolls_sideways(web: Site) -> None:
    page = live(web.visit("Vera", "viewer", width=320))
    for width in (320, 390, 720, 1024, 1440):
        page.set_viewport_size({"width": width, "height": 844})
        assert not scrolls_sideways(page), width
        expect(page.locator(".tabbar")).to_be_visible(visible=width < 720)


def test_rows_and_their_slots_are_reached_by_keyboard(web: Site) -> None:
    """j and k go from row to row, the arrows from slot to slot, Enter opens the target."""
    page = live(web.visit("Vera", "viewer"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("j")
    second = order(page)[1]
    expect(page.locator(f"{row(second)} a")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tooltip")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d  (Up|Slow|Failed)"))
    expect(page.locator("#polite")).to_contain_text(re.compile("Up|Slow|Failed"))
    page.keyboard.press("Escape")
    expect(page.locator("#tooltip")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/targets/{second}/"))


def test_the_page_can_be_read_without_javascript(web: Site) -> None:
    page = web.visit("Vera", "viewer", javascript=False)
    page.goto("/?env=production")
    expect(page.locator(".target:not([hidden])").first).to_contain_text("production")
    expect(page.locator(".story").first).to_be_visible()
