"""The story: staging fails, a responder changes one flag, staging passes, they roll back, staging fails again.

Everything is real: the processes of `make serve`, Redis, Celery, sockets, and a browser in which a person acts.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import SignedIn
from tests.support.product import Product

pytestmark = [pytest.mark.end_to_end, pytest.mark.browser]
SEEN_SECONDS = 60_000
"""Milliseconds a state may take to show: many slots, so that a slow machine does not decide the test."""


@pytest.fixture
def page(signed_in: SignedIn) -> Iterator[Page]:
    with signed_in("Mara Klein", "responder") as page:
        yield page


def expect_state(page: Page, product: Product, slug: str, state: str) -> None:
    """The overview, left open, comes to show the target in this state by itself."""
    if page.url.rstrip("/") != product.url:
        page.goto(product.url)
    row = page.locator(f'li.target[data-slug="{slug}"]')
    expect(row).to_have_attribute("data-state", state, timeout=SEEN_SECONDS)


def change_strategy(page: Page, product: Product, strategy: str, reason: str) -> None:
    """What a person does on the Flags page."""
    page.goto(f"{product.url}/flags/?env=staging")
    page.get_by_role("link", name="Change…").click()
    page.get_by_label("readiness-strategy").select_option(strategy)
    page.get_by_role("button", name="Preview…").click()
    page.get_by_label("Why?").fill(reason)
    page.get_by_role("button", name="Change readiness-strategy in staging").click()
    expect(page.get_by_role("heading", name="is served").first).to_be_visible()


def test_see_it_fail_cure_it_roll_back_and_see_it_fail_again(product: Product, page: Page) -> None:
    """Red, one flag, green; back, red: through the browser and the real processes."""
    expect_state(page, product, "staging-chat", "down")
    expect_state(page, product, "production-chat", "up")
    expect(page.get_by_text("Staging chat").first).to_be_visible()

    change_strategy(page, product, "dependency_gate", "Answers vanish in staging")
    expect_state(page, product, "staging-chat", "up")

    page.goto(f"{product.url}/flags/?env=staging")
    page.get_by_role("link", name=re.compile("Undo revision")).click()
    page.get_by_label("Why?").fill("To see the fault again")
    page.get_by_role("button", name=re.compile("Undo revision .* in staging")).click()
    expect(page.get_by_role("heading", name="is served").first).to_be_visible()
    expect_state(page, product, "staging-chat", "down")

    page.goto(f"{product.url}/rollback/?env=staging")
    page.get_by_role("link", name="Preview Emergency").click()
    page.get_by_label("Why?").fill("Answers vanish in staging")
    page.get_by_role("button", name="Run emergency in staging").click()
    expect_state(page, product, "staging-chat", "up")


def test_the_next_probes_name_the_strategy_and_revision_that_served_them(product: Product, page: Page) -> None:
    """The target page's last probes carry the variant that the server told."""
    page.goto(f"{product.url}/targets/production-chat/")
    expect(page.get_by_text("dependency_gate").first).to_be_visible(timeout=SEEN_SECONDS)


def test_after_a_stop_of_redis_and_the_worker_the_overview_recovers_by_itself(product: Product, page: Page) -> None:
    """While they stand still the page says that the probes are late; then figures are live again."""
    page.goto(product.url)
    expect_state(page, product, "production-chat", "up")
    stopped = [psutil.Process(product.child_id(name)) for name in ("redis", "worker")]
    for process in stopped:
        process.suspend()
    try:
        expect_state(page, product, "production-chat", "stale")
    finally:
        for process in stopped:
            process.resume()
    expect_state(page, product, "production-chat", "up")


def test_the_probe_command_tells_red_from_green(product: Product, tmp_path: Path) -> None:
    """Exit status 0 on the cured service, 1 on a dead port."""
    good = product.manage("probe", "production-chat", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    dead = product.manage("probe", "ws://127.0.0.1:1/ws/chat", "--timeout", "1")
    assert dead.returncode == 1
    assert "connect_refused" in dead.stdout


def test_nothing_is_served_to_strangers(product: Product) -> None:
    """Pages ask to sign in, interfaces answer 401."""
    assert httpx.get(f"{product.url}/", trust_env=False).headers["Location"].startswith("/signin/")
    assert httpx.get(f"{product.url}/api/v1/definitions", trust_env=False).status_code == 401
