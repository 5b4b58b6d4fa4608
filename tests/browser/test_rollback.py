"""Rolling back in a browser, on a phone in production."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("rollback")) as found:
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def test_phase_1_in_production_from_a_phone_and_back_again(web: Site) -> None:
    """Preview, a reason by one tap, one tick; afterwards emergency restores the known-good version."""
    before = web.revision("production")
    page = web.visit("Rosa", "responder", width=390)
    page.goto("/rollback/?env=production")
    page.get_by_role("link", name="Preview Phase 1").click()
    page.get_by_role("button", name="Run phase 1 in production").click()
    expect(page.locator("#ticked-error")).to_have_text("Tick the box: this changes production.")
    page.get_by_role("button", name="Rolling back the release").click()
    page.get_by_label("I am changing production").check()
    page.get_by_role("button", name="Run phase 1 in production").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"Revision {before + 1} is served")

    page.goto("/rollback/?env=production")
    expect(page.locator("section", has_text="Phase 1").first).to_contain_text("Nothing would change: already so.")
    page.get_by_role("link", name="Preview Emergency").click()
    page.get_by_role("button", name="Rolling back the release").click()
    page.get_by_label("I am changing production").check()
    page.get_by_role("button", name="Run emergency in production").click()
    expect(page.locator(".diff-add")).to_have_text("on")


def test_the_same_act_is_copied_as_a_command_line(web: Site) -> None:
    page = web.visit("Rosa", "responder")
    page.goto("/rollback/?env=staging")
    page.get_by_role("button", name="Copy the command of Phase 2").click()
    expect(page.locator("#polite")).to_have_text("Command copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == 'python manage.py rollback phase-2 --environment staging --reason "…"'
