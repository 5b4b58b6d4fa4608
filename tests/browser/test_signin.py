"""Signing in with a browser: the token leaves the address bar, and a link works once."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("signin")) as found:
        yield found


@pytest.fixture(autouse=True)
def visits(web: Site) -> Iterator[None]:
    yield
    web.close()


def test_a_stranger_pastes_a_link_by_keyboard_and_is_back_where_they_wanted_to_be(web: Site) -> None:
    page = web.stranger()
    page.goto("/audit/?environment=staging")
    expect(page).to_have_title(re.compile("^Sign in"))
    page.get_by_label("Sign-in link").fill(web.daphne.url + web.link("Rosa", "responder"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/audit/\?environment=staging$"))


def test_the_token_is_neither_in_the_address_nor_behind_the_back_button(web: Site) -> None:
    page = web.stranger()
    link = web.link("Rosa", "responder")
    page.goto("/signin/")
    page.goto(link)
    expect(page).to_have_url(re.compile(r"127\.0\.0\.1:\d+/$"))
    page.go_back()
    assert link not in page.url


def test_a_used_link_tells_how_to_get_another(web: Site) -> None:
    link = web.link("Rosa", "responder")
    web.stranger().goto(link)
    second = web.stranger(width=390)
    second.goto(link)
    expect(second.locator(".note[role=alert]")).to_contain_text(
        "python manage.py signin_link --user Rosa --role responder"
    )


def test_signing_out_closes_every_page(web: Site) -> None:
    page = web.stranger()
    page.goto(web.link("Rosa", "responder"))
    page.goto("/flags/")
    page.locator("#account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title(re.compile("^Sign in"))
    page.goto("/flags/")
    expect(page).to_have_title(re.compile("^Sign in"))
