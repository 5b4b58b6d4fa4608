"""The whole product, running, and people in front of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.support.product import Product

SignedIn = Callable[[str, str], AbstractContextManager[Page]]
"""Opens a browser as (user, role)."""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """All processes of `make serve`, ready."""
    running = Product(tmp_path_factory.mktemp("product"))
    try:
        running.wait_ready()
        yield running
    finally:
        running.stop()


@pytest.fixture
def signed_in(product: Product) -> SignedIn:
    @contextmanager
    def browser_of(user: str, role: str) -> Iterator[Page]:
        link = product.manage("signin_link", "--user", user, "--role", role).stdout.strip()
        with chromium() as browser:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            page = context.new_page()
            page.goto(link)
            yield page
            context.close()

    return browser_of
