"""Race checks in a browser: what will happen is told while it is typed; progress arrives, then the report."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make, shifts, watch_shifts
from tests.browser.visit import Site, scrolls_sideways, site
from tests.support import commands

pytestmark = pytest.mark.browser
SLUG = "staging-chat"
TARGET = f"/targets/{SLUG}/"
CHECKS = f"{TARGET}race-checks/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("race")) as found:
        make(found.daphne, "failing", "--targets", "2", "--minutes", "5")
        yield found


@pytest.fixture
def web(server: Site) -> Iterator[Site]:
    """The server, on which no race check was ever asked for."""
    yield server
    server.close()
    check(server, "forget")


def check(web: Site, *arguments: str) -> str:
    """`tests.support.make_race_check` on the server's data: another person, or a worker and its recorder.

    The path of the check's page, where one was asked for.
    """
    done = commands.run(
        "-m", "tests.support.make_race_check", *arguments, "--slug", SLUG, environ=web.daphne.environment
    )
    return f"{CHECKS}{done.stdout.strip()}/"


def test_what_will_happen_is_told_while_it_is_typed(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto(TARGET)
    page.get_by_role("link", name="Race check…").click()
    expect(page.locator(".note")).to_contain_text("200 probes, 20 at once, from local, against Staging chat")
    page.get_by_label("Probes").fill("1000")
    page.get_by_label("At once").fill("10")
    expect(page.locator("#race-asked")).to_have_text("1000 probes, 10 at once")
    expect(page.locator("#race-takes")).to_have_text("about 9 min at most")


def test_progress_arrives_on_the_targets_page_and_nothing_moves(web: Site) -> None:
    """Asked for by somebody else meanwhile; the one who watches may cancel it."""
    page = web.visit("Rosa", "responder")
    watch_shifts(page)
    page.goto(TARGET)
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("#race-card")).to_contain_text("None yet.")
    check(web, "ask", "--by", "Mara")
    expect(page.locator("#race-card")).to_contain_text("Asked for by Mara")
    check(web, "tell", "--done", "41", "--failed", "2")
    expect(page.locator("[data-race-text]")).to_contain_text("41 of 200")
    expect(page.locator("[data-race-progress]")).to_have_js_property("value", 41)
    page.get_by_role("button", name="Cancel this check").click()
    expect(page.locator(".story-line")).to_contain_text("Cancelled by Rosa.")
    assert [each for each in shifts(page) if "race" not in each] == []


def test_a_checks_own_page_follows_it_to_its_report(web: Site) -> None:
    address = check(web, "ask")
    page = web.visit("Vera", "viewer")
    page.goto(address)
    expect(page.locator("[data-race-text]")).to_contain_text("Waiting for a worker at local")
    check(web, "tell", "--done", "80", "--failed", "3")
    expect(page.locator("[data-race-text]")).to_contain_text("80 of 200")
    check(web, "finish", "--failed", "31")
    expect(page.locator(".story-line")).to_contain_text("31 of 200")
    expect(page.locator(".race-window rect").first).to_be_attached()
    expect(page.locator(".transcript").first).to_contain_text('Need to call "accept" first.')


def test_who_comes_second_is_led_to_the_one_that_runs(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto(CHECKS)
    running = check(web, "ask", "--by", "Mara")
    page.get_by_role("button", name="Race check staging").click()
    expect(page.locator(".error-summary")).to_be_focused()
    expect(page.locator(".error-summary")).to_contain_text("Mara is running one: 0 of 200 probes.")
    page.locator(".error-summary").get_by_role("link", name="Watch it").click()
    expect(page).to_have_url(f"{web.daphne.url}{running}")


def test_no_width_scrolls_sideways(web: Site) -> None:
    report = check(web, "ask")
    check(web, "finish", "--failed", "31", "--minutes-ago", "30")
    page = web.visit("Rosa", "responder")
    for address in (CHECKS, report, TARGET):
        page.goto(address)
        for width in (320, 390, 1024, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            assert not scrolls_sideways(page), (address, width)
