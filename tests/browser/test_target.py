"""The page of one target in a browser: its charts, its probes, and what arrives while it is open."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.scenes import going_on, make, results, shifts, watch_shifts
from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser
PAGE = "/targets/staging-chat/"
KEYS = ("race", "heat", "events", "failures", "phases", "strategies", "delay")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("target")) as found:
        make(found.daphne, "failing", "--targets", "2", "--minutes", "40")
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def drawn(page: Page, key: str) -> None:
    """Scroll to a chart and wait until Plotly has drawn it."""
    chart = page.locator(f"#chart-{key}")
    chart.scroll_into_view_if_needed()
    expect(chart.locator(".main-svg").first).to_be_visible()


def test_every_chart_is_drawn_under_the_strict_policy(web: Site) -> None:
    """Closing the visit fails if the page tried anything that the content security policy forbids."""
    page = web.visit("Vera", "viewer")
    page.goto(PAGE + "?range=1h")
    for key in KEYS:
        drawn(page, key)
    expect(page.locator("#chart-race")).to_contain_text("never")
    expect(page.locator("#chart-race")).to_contain_text("▼ r2")
    expect(page.locator(".modebar-btn")).to_have_count(0)


def test_nothing_shifts_while_the_page_loads_draws_and_lives(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    watch_shifts(page)
    page.goto(PAGE)
    expect(page.locator("#live")).to_have_text("Live")
    for key in KEYS:
        drawn(page, key)
    results(web.daphne, "staging-chat", 4, fail=True)
    expect(page.locator("#last-probes .outcome").first).to_contain_text(re.compile("not_ready|accept_race|event_lost"))
    assert shifts(page) == []


def test_a_chart_can_be_read_as_a_table(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    button = page.locator("#chart-race").locator("[data-table]")
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(page.locator("#chart-race th").first).to_have_text("Time")
    assert page.locator("#chart-race tbody tr").count() > 10
    button.click()
    expect(page.locator("#chart-race .twin")).to_be_hidden()


def test_a_range_is_in_the_address_and_needs_no_reload(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    drawn(page, "race")
    page.evaluate("window.kept = true")
    page.locator("#ranges").get_by_text("24 h").click()
    expect(page.locator("#chart-race [data-hint]")).to_contain_text("by 5\u00a0min")
    expect(page).to_have_url(re.compile("range=24h"))
    page.go_back()
    expect(page.locator("#chart-race [data-hint]")).not_to_contain_text("by 5\u00a0min")
    assert page.evaluate("window.kept")


def test_a_probe_opens_beside_the_charts_and_escape_closes_it(web: Site) -> None:
    """Focus goes to its heading and back to what opened it; the address names it, so it can be shared."""
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    link = page.locator(".probes tr", has_text="not_ready").first.locator("a")
    link.click()
    heading = page.locator("#probe h2")
    expect(heading).to_be_focused()
    expect(page.locator("#probe")).to_contain_text("Transcript")
    expect(page).to_have_url(re.compile("probe=local"))
    page.reload()
    expect(heading).to_be_visible()
    page.locator(".probes tr", has_text="not_ready").first.locator("a").click()
    expect(heading).to_be_focused()
    page.keyboard.press("Escape")
    expect(heading).to_have_count(0)
    expect(page).not_to_have_url(re.compile("probe="))


def test_new_probes_arrive_and_the_charts_follow(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE + "?range=15m")
    drawn(page, "race")
    expect(page.locator("#live")).to_have_text("Live")
    before = page.locator("#chart-failures [data-lede]").inner_text()
    results(web.daphne, "staging-chat", 5, fail=True)
    page.locator("#chart-failures").scroll_into_view_if_needed()
    expect(page.locator("#chart-failures [data-lede]")).not_to_have_text(before)
    expect(page.locator("#story")).to_contain_text("accepted but not ready")


def test_real_connections_arrive_beside_the_probes(web: Site) -> None:
    """An open page replaces the way to install the gate by what the first watched server tells, and follows it."""
    page = web.visit("Vera", "viewer")
    page.goto("/targets/orders-feed/")
    panel = page.locator("#real-connections")
    expect(page.locator("#live")).to_have_text("Live")
    panel.get_by_role("button", name="Copy the command that makes a key").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "python manage.py server_key create --environment production --name chat"
    page.locator("h1").click()
    page.locator("h1").hover()
    web.report("production", "orders-1", 1, dependency_gate={"client_gone": 10, "client_closed": 90})
    expect(panel).to_contain_text("100\u00a0connections ended: 10\u00a0% left before ready")
    web.report("production", "orders-1", 1, dependency_gate={"client_gone": 30, "client_closed": 170})
    expect(panel.locator(".real-strategy")).to_contain_text("dependency_gate200")
    expect(panel).not_to_contain_text("server_key create")


def test_a_part_with_focus_is_not_replaced_under_it(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    expect(page.locator("#live")).to_have_text("Live")
    first = page.locator("#last-probes .probe-link").first
    shown = first.inner_text()
    first.focus()
    results(web.daphne, "staging-chat", 3, fail=False)
    page.wait_for_timeout(3_000)
    assert first.inner_text() == shown
    expect(first).to_be_focused()
    page.locator("h1").click()
    page.evaluate("document.activeElement.blur()")
    expect(first).not_to_have_text(shown)


def test_charts_take_the_themes_colours(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(PAGE)
    drawn(page, "race")
    colours = []
    for theme in ("Dark", "Light"):
        page.locator("#account summary").click()
        page.get_by_role("button", name=theme).click()
        page.keyboard.press("Escape")
        page.wait_for_timeout(300)
        line = page.locator("#chart-race .scatterlayer .js-line").last
        colours.append(line.evaluate("line => getComputedStyle(line).stroke"))
    assert colours == ["rgb(79, 141, 255)", "rgb(26, 95, 208)"]


@pytest.mark.parametrize("width", [320, 1440])
def test_no_width_scrolls_sideways(web: Site, width: int) -> None:
    page = web.visit("Vera", "viewer", width=width)
    page.goto(PAGE)
    for key in KEYS:
        drawn(page, key)
    assert not scrolls_sideways(page)


def test_on_a_phone_a_probe_is_a_sheet(web: Site) -> None:
    page = web.visit("Vera", "viewer", width=390)
    page.goto(PAGE)
    page.locator(".probes .probe-link").first.click()
    box = page.locator("#probe .probe").bounding_box()
    assert box
    assert (box["x"], box["width"]) == (0, 390)
    page.get_by_role("link", name="Close").click()
    expect(page.locator("#probe .probe")).to_have_count(0)


def test_a_page_over_data_that_goes_on_stays_live(web: Site) -> None:
    """Real time, slot by slot: the newest probe shown keeps up."""
    with going_on(web.daphne, "healthy", "--targets", "1", "--minutes", "2"):
        page = web.visit("Vera", "viewer")
        page.goto("/targets/chat/")
        first = page.locator("#last-probes .probe-link").first
        shown = first.inner_text()
        expect(first).not_to_have_text(shown, timeout=15_000)


def test_a_deploy_that_somebody_marks_appears_for_who_watches(web: Site) -> None:
    vera = web.visit("Vera", "viewer")
    vera.goto(PAGE + "?range=1h")
    expect(vera.locator("#live")).to_have_text("Live")
    expect(vera.locator("#changes")).not_to_contain_text("Mark a deploy")
    rosa = web.visit("Rosa", "responder")
    rosa.goto(PAGE)
    rosa.get_by_role("link", name="Mark a deploy…").click()
    expect(rosa.get_by_label("Service")).to_have_value("staging-chat")
    rosa.get_by_label("Version").fill("5.13.0")
    rosa.get_by_role("button", name="Mark the deploy").click()
    expect(rosa).to_have_url(re.compile("/targets/staging-chat/#changes$"))
    expect(rosa.locator("#changes")).to_contain_text("5.13.0")
    drawn(rosa, "race")
    expect(rosa.locator("#chart-race")).to_contain_text("▽ 5.13.0")
    expect(vera.locator("#changes-list")).to_contain_text("5.13.0")
