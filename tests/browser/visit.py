"""A real web server with data of its own, and people who visit it with chromium."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

from tests.browser.chromium import ARGUMENTS, EXECUTABLE
from tests.support.daphne import Daphne

_REMEMBER_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
  violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Site:
    """The server and a browser. Every visit is a context of its own, so people do not share cookies."""

    def __init__(self, daphne: Daphne, browser: Browser) -> None:
        self.daphne = daphne
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._keys: dict[str, str] = {}
        self._cookies: dict[tuple[str, str], StorageState] = {}

    def stranger(self, *, width: int = 1440, javascript: bool = True, cookies: StorageState | None = None) -> Page:
        """Somebody who is not signed in, unless they bring cookies."""
        context = self._browser.new_context(
            storage_state=cookies,
            base_url=self.daphne.url,
            viewport={"width": width, "height": 844},
            java_script_enabled=javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(10_000)
        context.add_init_script(_REMEMBER_VIOLATIONS)
        self._contexts.append(context)
        return context.new_page()

    def visit(self, name: str, role: str, *, width: int = 1440, javascript: bool = True) -> Page:
        """A person with this role, signed in by a link as everybody is; later visits bring the session's cookies."""
        cookies = self._cookies.get((name, role))
        page = self.stranger(width=width, javascript=javascript, cookies=cookies)
        if cookies is None:
            page.goto(self.link(name, role))
            self._cookies[name, role] = page.context.storage_state()
        return page

    def link(self, name: str, role: str) -> str:
        """The path of a fresh sign-in link."""
        return urlsplit(self.daphne.manage("signin_link", "--user", name, "--role", role)).path

    def revision(self, environment: str) -> int:
        """The revision the server serves, as a watched server learns it."""
        answer = httpx.get(f"{self.daphne.url}/api/v1/definitions", headers=self._key(environment))
        return int(answer.raise_for_status().json()["revision"])

    def report(
        self, environment: str, instance: str, revision: int, *, run: str | None = None, **connections: dict[str, int]
    ) -> None:
        """A watched server says which revision it holds, and what its connections met by strategy and cause; `run`
        names its process."""
        body = {
            **({"run": run, "run_seconds": 600} if run else {}),
            "instance": instance,
            "library_version": "0.1.0",
            "held_revision": revision,
            "evaluations": {},
            "connections": connections,
        }
        sent = {**self._key(environment), "Content-Type": "application/json"}
        httpx.post(
            f"{self.daphne.url}/api/v1/servers/report", content=json.dumps(body), headers=sent
        ).raise_for_status()

    def close(self) -> None:
        """End every visit; fails where a page broke its own content security policy."""
        broken = [found for context in self._contexts for page in context.pages for found in violations(page)]
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        assert broken == []

    def _key(self, environment: str) -> dict[str, str]:
        if environment not in self._keys:
            self._keys[environment] = self.daphne.server_key(environment)
        return {"Authorization": f"Bearer {self._keys[environment]}"}


@contextmanager
def site(folder: Path, **environment: str) -> Iterator[Site]:
    """A fresh server over `folder`, with these settings, and chromium."""
    with Daphne(folder, **environment) as daphne, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        try:
            yield Site(daphne, browser)
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """What the page tried against its content security policy."""
    found: list[str] = page.evaluate("window.violations ?? []")
    return found


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than its window."""
    wider: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wider
