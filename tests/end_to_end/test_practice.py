"""Practice on the running product: a person breaks production on purpose, sees it red, ends it, and sees it green."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import SignedIn
from tests.end_to_end.test_story import SEEN_SECONDS, expect_state
from tests.support.product import Product

pytestmark = [pytest.mark.end_to_end, pytest.mark.browser]


@pytest.fixture
def page(signed_in: SignedIn) -> Iterator[Page]:
    with signed_in("Mara Klein", "responder") as page:
        yield page


def test_a_fault_on_purpose_turns_the_target_red_until_it_is_ended(product: Product, page: Page) -> None:
    expect_state(page, product, "production-chat", "up")
    page.get_by_role("link", name="Practice").click()
    page.get_by_role("link", name="Production", exact=True).click()
    expect(page.get_by_text("Nothing. Choose a fault below")).to_be_visible()
    page.get_by_role("link", name="Start Upgrades refused on Production chat…").click()
    page.get_by_label("Status").select_option("502")
    page.get_by_label("15 minutes").check()
    page.get_by_role("button", name="Training the on-call team").click()
    page.get_by_label("I am breaking").check()
    page.get_by_role("button", name="Start upgrades refused in production").click()
    expect(page.get_by_role("row", name="Upgrades refused 502")).to_contain_text("Mara Klein")

    expect_state(page, product, "production-chat", "down")
    note = page.locator(".story--practice")
    expect(note).to_contain_text("Practice: upgrades refused on Production chat (production) until")
    # Staging fails by itself and is told first: the words of production stand on its own page.
    page.locator('li.target[data-slug="production-chat"] a').first.click()
    expect(page.locator("#story")).to_contain_text("answers HTTP 502 instead of upgrading", timeout=SEEN_SECONDS)
    expect(note).to_contain_text("No incident")

    note.get_by_role("link", name="End it…").click()
    page.get_by_role("button", name="End Upgrades refused on Production chat now").click()
    expect(page.get_by_text("Nothing. Choose a fault below")).to_be_visible()
    expect_state(page, product, "production-chat", "up")
    expect(note).to_have_count(0)


def test_an_open_practice_page_learns_what_somebody_else_started(product: Product, page: Page) -> None:
    """By hand with the token that `make serve` keeps; the seconds left tick."""
    page.goto(f"{product.url}/practice/?env=production")
    expect(page.get_by_text("Nothing. Choose a fault below")).to_be_visible()
    token = (product.data_dir / "control_token").read_text()
    by_hand = page.request.post(
        f"http://127.0.0.1:{product.production_port}/control/faults",
        headers={"Authorization": f"Bearer {token}"},
        data={"name": "events_twice", "lasts_s": 20},
    )
    assert by_hand.status == 201
    row = page.get_by_role("row", name="Events twice tool_completed")
    expect(row).to_contain_text("by hand")
    before = row.locator("time.left").inner_text()
    expect(row.locator("time.left")).not_to_have_text(before)
    expect(row).to_have_count(0, timeout=SEEN_SECONDS)
