"""Practice in a browser: choosing, starting, the time left, ending; open pages learn that it is practice."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, scrolls_sideways, site
from tests.connections.reference.practising import TOKEN, Practised, practised
from tests.support.servers import free_port

pytestmark = pytest.mark.browser
PAGE = "/practice/?env=production"
TARGET = "/targets/production-chat/"
START = "/practice/production-chat/slow_setup/"


@pytest.fixture(scope="module")
def service() -> Iterator[Practised]:
    with practised() as running:
        yield running


@pytest.fixture(scope="module")
def server(service: Practised, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Production can be practised on; nothing listens where staging should."""
    ports = f"{free_port()},{service.ws.rpartition(':')[2]}"
    folder = tmp_path_factory.mktemp("practice")
    with site(folder, READYWIRE_CONTROL_TOKEN=TOKEN, REFERENCE_PORTS=ports) as found:
        prepare = f"from dashboard.reference_setup import prepare; prepare(({ports}))"
        found.daphne.manage("shell", "-c", prepare)
        yield found


@pytest.fixture
def web(server: Site, service: Practised) -> Iterator[Site]:
    service.end()
    yield server
    server.close()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_fault_is_started_and_ended_with_and_without_javascript(
    web: Site, service: Practised, *, javascript: bool
) -> None:
    page = web.visit("Rosa", "responder", javascript=javascript)
    page.goto(PAGE)
    page.get_by_role("link", name="Start Slow setup on Production chat…").click()
    expect(page.locator(".note").first).to_contain_text("Production chat is accepted but not ready")
    page.get_by_label("Seconds").fill("7")
    page.get_by_label("1 minute").check()
    page.get_by_label("Why?").fill("Training the on-call team")
    page.get_by_label("I am breaking").check()
    page.get_by_role("button", name="Start slow setup in production").click()
    row = page.get_by_role("row", name="Slow setup 7 s")
    expect(row).to_contain_text("Rosa")
    assert service.http.get("/control/faults").json()["faults"][0]["parameters"]["seconds"] == 7.0
    page.get_by_role("button", name="End Slow setup on Production chat now").click()
    expect(row).to_have_count(0)
    assert service.http.get("/control/faults").json()["faults"] == []


def test_the_time_left_ticks_and_somebody_elses_end_shows(web: Site, service: Practised) -> None:
    service.start("silence", lasts_s=600)
    page = web.visit("Rosa", "responder")
    page.goto(PAGE)
    left = page.get_by_role("row", name="Silence").locator("time.left").first
    before = left.inner_text()
    expect(left).not_to_have_text(before)
    service.end("silence")
    expect(left).to_have_count(0)


def test_an_open_target_page_learns_that_it_is_practice_and_that_it_is_over(web: Site, service: Practised) -> None:
    page = web.visit("Vera", "viewer")
    page.goto(TARGET)
    expect(page.locator("#live")).to_have_text("Live")
    acting = web.visit("Rosa", "responder")
    service.start("silence")
    acting.goto(PAGE)  # asks the service, and so remembers what was started by hand
    note = page.locator("#story .story--practice")
    expect(note).to_contain_text("Practice: silence on Production chat (production) until", timeout=20_000)
    acting.get_by_role("button", name="End Silence on Production chat now").click()
    expect(note).to_have_count(0, timeout=20_000)


def test_what_is_wrong_with_the_form_takes_the_focus(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto(START)
    page.get_by_role("button", name="Start slow setup in production").click()
    summary = page.get_by_role("alert").filter(has_text="Nothing was started")
    expect(summary).to_be_focused()
    summary.get_by_role("link", name="Say why, in at least 3 words.").click()
    expect(page.get_by_label("Why?")).to_be_focused()


def test_nothing_scrolls_sideways_on_a_phone(web: Site, service: Practised) -> None:
    service.start("events_swapped", percent=50)
    page = web.visit("Rosa", "responder", width=390)
    for path in (PAGE, "/practice/?env=staging", START, TARGET, "/"):
        page.goto(path)
        expect(page.get_by_role("main")).to_be_visible()
        assert not scrolls_sideways(page), path


def test_the_tour_leads_to_the_cure_and_its_last_note_comes_by_itself(web: Site) -> None:
    page = web.visit("Tom", "responder")
    page.goto("/practice/")
    page.get_by_role("button", name="Start the tour").click()
    page.get_by_role("button", name="Next: find the change").click()
    page.get_by_role("button", name="Next: undo it").click()
    note = page.locator("#tour-note")
    expect(note).to_contain_text("Undo revision 2…")
    expect(page.locator("#live")).to_have_text("Live")
    elsewhere = web.visit("Tom", "responder")
    elsewhere.goto("/flags/staging/undo/2/")
    elsewhere.get_by_label("Why?").fill("Back to what held messages")
    elsewhere.get_by_role("button", name="Undo revision 2 in staging").click()
    expect(elsewhere.locator(".tour-line")).to_contain_text("The next note stands on the page of Staging chat")
    expect(note).to_contain_text("Revision 3 is served.")
    note.get_by_role("button", name="End the tour").click()
    expect(note).to_have_count(0)
