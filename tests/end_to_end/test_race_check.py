"""Race checks through the whole product: asked over REST, run by the worker beside its slots, read as reports."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.chromium import chromium
from tests.support.product import Product
from tests.support.waiting import wait_until

pytestmark = pytest.mark.end_to_end
SEEN_MILLISECONDS = 120_000
"""How long a slow machine may take."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("product"), RACE_CHECK_PAUSE_SECONDS="1")
    try:
        product.wait_ready()
        yield product
    finally:
        product.stop()


def checked(product: Product, slug: str, token: str) -> dict[str, Any]:
    """What a check of this target found."""
    headers = {"Authorization": f"Bearer {token}"}
    address = f"{product.url}/api/v1/targets/{slug}/race-checks"

    def ask() -> httpx.Response | None:
        """None while the target rests: the other test's check may have ended a moment ago."""
        asked = httpx.post(address, json={"count": 60, "at_once": 10}, headers=headers, timeout=20, trust_env=False)
        return None if asked.status_code == httpx.codes.TOO_MANY_REQUESTS else asked

    asked = wait_until(ask, seconds=20, what="the target has rested")
    assert asked is not None
    assert asked.status_code == 202, asked.text
    found: dict[str, Any] = {}

    def ended() -> bool:
        answer = httpx.get(f"{product.url}{asked.headers['Location']}", headers=headers, timeout=20, trust_env=False)
        found.update(answer.raise_for_status().json())
        return found["state"] not in ("queued", "running")

    wait_until(ended, seconds=90, what="the report")
    assert (found["state"], found["done"], found["asked_by"]) == ("finished", 60, "token robot"), found
    report: dict[str, Any] = found["report"]
    assert report["probes"] + report["ours"] == 60
    return report


def test_a_race_check_finds_the_fault_in_staging_and_none_in_production(product: Product) -> None:
    """A newcomer's first start serves `immediate` in staging, which loses what comes first."""
    token = product.manage("api_token", "create", "--name", "robot", "--scope", "act").stdout.strip()
    staging = checked(product, "staging-chat", token)
    assert staging["served"][0][0] == "immediate"
    assert staging["race"] > 0, staging["kinds"]
    assert staging["samples"][0]["frames"]
    production = checked(product, "production-chat", token)
    assert production["served"][0][0] == "dependency_gate"
    assert production["race"] == 0, production["kinds"]


@pytest.mark.browser
def test_a_person_checks_staging_from_its_page_and_reads_the_report(product: Product) -> None:
    """A press, progress, and the race with its transcript."""
    link = product.manage("signin_link", "--user", "Mara Klein", "--role", "responder").stdout.strip()
    with chromium() as browser:
        page = browser.new_page()
        page.goto(link)
        page.goto(f"{product.url}/targets/staging-chat/")
        page.get_by_role("link", name="Race check…").click()
        page.get_by_label("Probes").fill("60")
        page.get_by_label("At once").fill("20")
        page.get_by_role("button", name="Race check staging").click()
        expect(page.locator("[data-race-text]")).to_contain_text("of 60 probes", timeout=SEEN_MILLISECONDS)
        expect(page.locator(".story-line")).to_contain_text("of them met the race.", timeout=SEEN_MILLISECONDS)
        expect(page.locator(".race-sample").first).to_contain_text("Next:")
        expect(page.locator(".pairs")).to_contain_text("immediate")
