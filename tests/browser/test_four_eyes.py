"""Two people in two browsers: one defines a flag and proposes it, the other approves; nothing is blocked on the way."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.visit import Site, site

pytestmark = pytest.mark.browser
REASON = "we greet people now"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("four-eyes")) as found:
        yield found


def test_a_flag_is_defined_by_one_person_and_approved_by_another(web: Site) -> None:
    ada = web.visit("Ada", "administrator")
    ada.goto("/flags/policy/production/")
    ada.get_by_label("A second person approves what is new").check()
    ada.get_by_label("Why?").fill("we go live today")
    ada.get_by_role("button", name="Save for production").click()
    expect(ada.get_by_text("Saved.")).to_be_visible()

    rosa = web.visit("Rosa", "responder", width=390)
    rosa.goto("/flags/production/new-flag/")
    rosa.get_by_label("Key").fill("greeting")
    rosa.get_by_label("Variants").fill('{\n  "on": true\n  "off": false\n}')
    rosa.get_by_role("button", name="Preview").click()
    expect(rosa.locator(".error-summary")).to_be_focused()
    expect(rosa.locator(".error-summary")).to_contain_text("Variants: Line 3: no JSON")
    rosa.get_by_label("Variants").fill('{\n  "on": true,\n  "off": false\n}')
    rosa.get_by_role("button", name="Preview").click()
    rosa.get_by_label("Why?").fill(REASON)
    rosa.get_by_role("button", name="Propose to define greeting in production").click()
    expect(rosa.get_by_text("Another person approves this")).to_be_visible()

    ada.goto("/flags/?env=production")
    ada.get_by_role("link", name=re.compile("^p[0-9]+$")).click()
    ada.get_by_label("Type production").fill("production")
    ada.get_by_role("button", name="Approve in production").click()
    expect(ada.get_by_text(f"Rosa, approved by Ada: {REASON}")).to_be_visible()
    for page in (ada, rosa):
        assert page.evaluate("violations") == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
