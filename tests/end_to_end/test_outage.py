"""With Redis, Celery and every worker dead, an emergency rollback still takes effect at the running services."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from tests.support.pages import hidden_fields
from tests.support.product import Product
from tests.support.waiting import wait_until

pytestmark = pytest.mark.end_to_end
ENVIRONMENTS = ("staging", "production")
AIDS = ("redis", "worker", "scheduler", "beat", "recorder")


def stamped(product: Product, environment: str) -> tuple[str, int]:
    """The strategy and the revision that a reference service stamps on a connection opened now."""
    port = {"staging": product.staging_port, "production": product.production_port}[environment]
    with connect(f"ws://127.0.0.1:{port}/ws/chat", open_timeout=10, proxy=None) as connection:
        assert connection.response is not None
        headers = connection.response.headers
        return headers["Readiness-Strategy"], int(headers.get("Readiness-Revision", 0))


CHANGE = """
from connections.flags import control, reading
for key in ("staging", "production"):
    version = reading.current_version(key).number
    what = {"readiness-strategy": "fixed_delay"}
    control.change(key, what, author="Mara", reason="for this proof", expected_version=version)
"""


def roll_back_on_the_page(product: Product, browser: httpx.Client) -> None:
    """Preview, tick, run: the emergency of production."""
    address = f"{product.url}/rollback/production/emergency/"
    page = browser.get(address)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None, page.text
    form = {**hidden_fields(page, "act-form"), "csrfmiddlewaretoken": token[1]}
    sent = {**form, "reason": "Answers vanish in production", "ticked": "yes"}
    answer = browser.post(address, data=sent, headers={"Referer": address})
    assert "/flags/production/revisions/" in answer.headers.get("Location", ""), answer.text


@contextmanager
def outage(product: Product) -> Iterator[None]:
    """Redis, Celery and every worker are killed, and nobody starts them again."""
    supervisor = psutil.Process(product.process.pid)
    supervisor.suspend()
    try:
        for name in AIDS:
            child = psutil.Process(product.child_id(name))
            for process in (*child.children(recursive=True), child):
                process.kill()
        yield
    finally:
        supervisor.resume()


def test_an_emergency_needs_the_database_and_nothing_else(product: Product) -> None:
    """With Redis, Celery and every worker dead, a rollback from a shell and one from the page reach new connections."""
    link = product.manage("signin_link", "--user", "Rosa", "--role", "responder").stdout.strip()
    with httpx.Client(trust_env=False, timeout=10, follow_redirects=False) as browser:
        browser.get(link)
        changed = product.manage("shell", "-v0", "-c", CHANGE)
        assert changed.returncode == 0, changed.stderr
        wait_until(lambda: {stamped(product, key)[0] for key in ENVIRONMENTS} == {"fixed_delay"}, 20, "it is served")
        before = {key: stamped(product, key)[1] for key in ENVIRONMENTS}
        with outage(product):
            why = ("--reason", "Answers vanish in staging")
            shell = product.manage("rollback", "emergency", "--environment", "staging", *why)
            assert shell.returncode == 0, shell.stderr
            roll_back_on_the_page(product, browser)
            good = {key: ("dependency_gate", revision + 1) for key, revision in before.items()}
            wait_until(
                lambda: {key: stamped(product, key) for key in good} == good, 10, "both services have rolled back"
            )
            again = product.manage("rollback", "emergency", "--environment", "staging", *why)
            assert again.returncode == 0
            assert "already so" in again.stdout
