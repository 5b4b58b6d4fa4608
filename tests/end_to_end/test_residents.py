"""Connections that stay, through every real process: wanted in the form, cut by a restart, told on the page."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import SignedIn
from tests.support.product import Product
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.end_to_end, pytest.mark.browser]
PATIENCE_MS = 60_000
PAGE = "/targets/production-chat/"


@pytest.fixture
def page(signed_in: SignedIn) -> Iterator[Page]:
    with signed_in("Ada", "administrator") as page:
        yield page


def restart(product: Product, name: str) -> None:
    """End a child with SIGTERM, and wait for the one that the supervisor starts in its place."""
    before = product.child_id(name)
    os.kill(before, signal.SIGTERM)
    wait_until(lambda: product.child_id(name) not in (0, before), seconds=60, what=f"{name} starts again")


def test_a_deployment_cuts_the_residents_and_the_open_page_says_so(
    product: Product, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{product.url}{PAGE}edit/")
    page.get_by_text("Long-lived connections").click()
    page.get_by_label("Connections to keep").fill("3")
    page.get_by_label("Talk every, seconds").fill("1")
    page.get_by_role("button", name="Save Production chat").click()
    panel = page.locator("#residents")
    expect(panel).to_contain_text("3\u00a0residents wanted, none has connected yet")
    expect(panel.locator(".lane-track")).to_have_count(3, timeout=PATIENCE_MS)
    expect(panel).to_contain_text("none was cut")
    restart(product, "production")
    expect(panel).to_contain_text("3 by a restart or deployment", timeout=PATIENCE_MS)
    expect(panel).to_contain_text("1012")
    expect(panel).to_contain_text("Reconnected in", timeout=PATIENCE_MS)
