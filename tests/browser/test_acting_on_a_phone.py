"""From a phone, woken at night: what is wrong, and what was served before, in as few taps as there are questions."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make
from tests.browser.visit import scrolls_sideways, site

pytestmark = pytest.mark.browser


def test_on_a_phone_three_taps_lead_from_the_overview_to_what_was_served_before(tmp_path: Path) -> None:
    with site(tmp_path) as web:
        make(web.daphne, "failing", "--targets", "1", "--minutes", "4")
        page = web.visit("Rosa", "responder", width=390)
        page.goto("/")
        page.get_by_role("link", name="Undo revision 2…").click()
        sheet = page.locator("#act-sheet")
        expect(sheet.get_by_role("heading", name="Undo revision 2")).to_be_visible()
        sheet.get_by_role("button", name=re.compile("Accepted but not ready since")).click()
        sheet.get_by_role("button", name="Undo revision 2 in staging").click()
        expect(sheet.get_by_role("heading", name="Revision 3 is served")).to_be_visible()
        assert web.revision("staging") == 3
        assert not scrolls_sideways(page)
        web.close()
