"""The flags page in a browser: change, watch it spread, undo; with and without JavaScript; two people at once."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visit import Site, scrolls_sideways, site

pytestmark = pytest.mark.browser
WHY = "Answers vanish mid-conversation"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("flags")) as found:
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def other_value(page: Page, flag: str) -> str:
    """A value of the flag that is not served now."""
    shown = page.get_by_label(flag, exact=True)
    served = shown.input_value()
    values: list[str] = shown.locator("option").evaluate_all("options => options.map(option => option.value)")
    return next(value for value in values if value != served)


def change(page: Page, environment: str, flag: str) -> None:
    """Change one flag of an environment that is not production."""
    page.goto(f"/flags/{environment}/change/")
    page.get_by_label(flag, exact=True).select_option(other_value(page, flag))
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name=f"Change {flag} in {environment}").click()


def test_a_responder_changes_a_flag_and_watches_the_servers_take_it_up(web: Site) -> None:
    """The preview appears beside the choice; the result page fills in as servers report, without a reload."""
    before = web.revision("staging")
    web.report("staging", "chat-1", before)
    page = web.visit("Rosa", "responder")
    page.goto("/flags/?env=staging")
    page.get_by_role("link", name="Change…").click()
    page.get_by_label("readiness-strategy", exact=True).select_option(other_value(page, "readiness-strategy"))
    expect(page.locator("#act .diff-add")).to_have_count(1)
    page.get_by_role("button", name=WHY).click()
    page.get_by_role("button", name="Change readiness-strategy in staging").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Revision {before + 1} is served")
    expect(page.locator("#servers")).to_contain_text(f"0 of 1 server holds revision {before + 1}. Behind: chat-1.")
    web.report("staging", "chat-1", before + 1)
    expect(page.locator("#servers")).to_contain_text(f"1 of 1 server holds revision {before + 1}")
    expect(page.locator(".cell--on")).to_have_count(1)


def test_the_first_watched_server_and_its_connections_appear_without_a_reload(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    page.goto("/flags/?env=production")
    expect(page.locator("#live")).to_have_text("Live")
    expect(page.locator("[data-install]")).to_contain_text("server_key create --environment production")
    web.report("production", "chat-9", 1)
    expect(page.locator("[data-server=chat-9]")).to_contain_text("no connection has ended")
    expect(page.locator("[data-install]")).to_have_count(0)
    web.report("production", "chat-9", 1, immediate={"client_gone": 5, "client_closed": 15})
    expect(page.locator("[data-server=chat-9]")).to_contain_text("20\u00a0connections ended")


def test_undo_is_one_click_and_a_reason_away(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    change(page, "staging", "client-ack")
    page.get_by_role("link", name="Undo revision").click()
    page.get_by_role("button", name=WHY).click()
    page.get_by_role("button", name="Undo revision").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("is served")
    expect(page.locator(".diff-key")).to_have_text("client-ack")


def test_it_works_without_javascript(web: Site) -> None:
    before = web.revision("development")
    page = web.visit("Rosa", "responder", javascript=False)
    page.goto("/flags/?env=development")
    page.get_by_role("link", name="Change…").click()
    page.get_by_label("degraded-mode", exact=True).select_option(other_value(page, "degraded-mode"))
    page.get_by_role("button", name="Preview…").click()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Change degraded-mode in development").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Revision {before + 1} is served")


def test_an_error_takes_the_focus_and_leads_to_its_field(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto("/flags/production/change/")
    page.get_by_label("client-ack", exact=True).select_option(other_value(page, "client-ack"))
    page.get_by_role("button", name="Change client-ack in production").click()
    expect(page.locator("#error-summary")).to_be_focused()
    expect(page).to_have_title(re.compile("^Error: Change flags"))
    page.get_by_role("link", name="Say why, in at least 3 words.").press("Enter")
    expect(page.get_by_label("Why?")).to_be_focused()
    assert "Typed name does not match production." in page.locator("#typed-error").inner_text()


def test_a_double_click_makes_one_revision(web: Site) -> None:
    before = web.revision("staging")
    page = web.visit("Rosa", "responder")
    page.goto("/flags/staging/change/")
    page.get_by_label("adaptive-timing", exact=True).select_option(other_value(page, "adaptive-timing"))
    page.get_by_role("button", name=WHY).click()
    page.get_by_role("button", name="Change adaptive-timing in staging").dblclick()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Revision {before + 1} is served")
    assert web.revision("staging") == before + 1


def test_going_back_and_sending_again_says_already_done(web: Site) -> None:
    page = web.visit("Rosa", "responder", javascript=False)
    page.goto("/flags/staging/change/")
    page.get_by_label("dependency-validation", exact=True).select_option(other_value(page, "dependency-validation"))
    page.get_by_role("button", name="Preview…").click()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Change dependency-validation in staging").click()
    made = web.revision("staging")
    page.go_back()
    page.get_by_label("Why?").fill(WHY)
    page.get_by_role("button", name="Change dependency-validation in staging").click()
    expect(page.get_by_text("Already done")).to_be_visible()
    assert web.revision("staging") == made


def test_a_change_by_somebody_else_is_told_while_the_page_is_open(web: Site) -> None:
    rosa, mara = web.visit("Rosa", "responder"), web.visit("Mara", "responder")
    rosa.goto("/flags/?env=staging")
    expect(rosa.locator("#live")).to_contain_text("Live")
    change(mara, "staging", "client-ack")
    expect(rosa.locator("#newer")).to_contain_text(f"Revision {web.revision('staging')} was made by Mara")
    rosa.get_by_role("link", name="Show it").click()
    expect(rosa.locator("#newer")).to_be_hidden()


def test_two_people_do_not_overwrite_each_other(web: Site) -> None:
    """The second sees what the first changed, keeps the typed words, and decides again."""
    rosa, mara = web.visit("Rosa", "responder"), web.visit("Mara", "responder")
    rosa.goto("/flags/staging/change/")
    rosa.get_by_label("degraded-mode", exact=True).select_option(other_value(rosa, "degraded-mode"))
    rosa.get_by_label("Why?").fill("Rosa has a reason")
    change(mara, "staging", "adaptive-timing")
    made = web.revision("staging")
    rosa.get_by_role("button", name="Change degraded-mode in staging").click()
    expect(rosa.locator("#error-summary")).to_contain_text(f"Revision {made} was made by Mara")
    expect(rosa.locator("#act .diff-key").first).to_have_text("adaptive-timing")
    expect(rosa.get_by_label("Why?")).to_have_value("Rosa has a reason")
    rosa.get_by_role("button", name="Change degraded-mode in staging").click()
    expect(rosa.get_by_role("heading", level=1)).to_contain_text(f"Revision {made + 1} is served")


def test_a_viewer_sees_everything_and_no_button(web: Site) -> None:
    web.link("Rosa", "responder")
    page = web.visit("Vera", "viewer")
    page.goto("/flags/?env=staging")
    expect(page.get_by_text("You can see flags but not change them.")).to_be_visible()
    # Words explain themselves to everybody, and commands are copied by everybody; nothing else is a button.
    expect(page.locator("main button:not(.help, [data-copies])")).to_have_count(0)


def test_no_page_scrolls_sideways(web: Site) -> None:
    page = web.visit("Ada", "administrator")
    addresses = (
        "/flags/?env=production",
        "/flags/production/change/?flag.client-ack=off&preview=1",
        "/flags/staging/revisions/1/",
        "/rollback/?env=production",
        "/audit/",
        "/targets/add/",
    )
    for address in addresses:
        page.goto(address)
        for width in (320, 390, 720, 1024):
            page.set_viewport_size({"width": width, "height": 844})
            assert not scrolls_sideways(page), (address, width)
