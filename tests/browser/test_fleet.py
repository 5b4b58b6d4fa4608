"""When the probes themselves are ill, every page says so in one banner; the fleet page follows without moving."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.scenes import make, results, shifts, watch_shifts
from tests.browser.visit import Site, site, violations

pytestmark = pytest.mark.browser
SILENCE = (
    "from datetime import timedelta; from django.utils import timezone; from probes.models import LocationRollup;"
    "LocationRollup.objects.update(answered_at=timezone.now() - timedelta(minutes=2))"
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("fleet")) as found:
        make(found.daphne, "healthy", "--targets", "2", "--minutes", "3")
        yield found


def test_ill_probes_are_told_on_every_page_and_followed_on_the_fleets(web: Site) -> None:
    page = web.visit("Vera", "viewer")
    watch_shifts(page)
    web.daphne.manage("shell", "-v0", "-c", SILENCE)
    page.goto("/audit/")
    banner = page.locator(".banner")
    expect(banner).to_have_text(
        re.compile(r"^The probes on this machine have been late since \d\d:\d\d: Redis does not")
    )
    expect(banner).to_contain_text("Targets show as stale. Rollback still works.")
    banner.get_by_role("link", name="Fleet").click()
    expect(page.locator("#story")).to_contain_text("have been late since")
    expect(page.locator('[data-rows="places"] [data-cell="word"]')).to_have_text("Silent")
    expect(page.locator("#live")).to_have_text("Live")
    expect(banner).to_have_count(0)
    expect(page.locator(".main-svg").first).to_be_visible()
    page.get_by_role("button", name="Show as table").click()
    expect(page.locator(".twin tbody tr").first).to_be_visible()
    page.evaluate("window.shifts.length = 0")
    results(web.daphne, "chat", 3, fail=False)
    expect(page.locator("#story")).to_have_text("The only location is on time.")
    expect(page.locator('[data-rows="places"] [data-cell="word"]')).to_have_text("On time")
    assert shifts(page) == []
    assert violations(page) == []
