"""`python -m tests.browser.screenshots [name ...]`: every page in both themes and widths, to be looked at."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from dashboard.env import BASE_DIR
from tests.browser import gestures
from tests.browser.chromium import ARGUMENTS, EXECUTABLE
from tests.support.daphne import Daphne
from tests.support.servers import free_port, redis_server_binary

FOLDER = BASE_DIR / "screenshots"
WIDTHS = {1440: 900, 390: 844}
SCENES = {
    "failing": ("failing", 12, 75),
    "healthy": ("healthy", 12, 30),
    "residents": ("residents", 1, 40),
    "cured": ("cured", 2, 40),
    "fleet": ("fleet", 6, 70),
    "empty": None,
}
ROLES = {"residents": "administrator"}
"""Of the person who looks; a responder where nothing is said."""
PAGES = {
    "fleet": ("/fleet/", ("failing", "fleet", "empty")),
    "fleet-24h": ("/fleet/?range=24h&location=virginia", ("fleet",)),
    "overview-ill": ("/", ("fleet",)),
    "overview": ("/", ("failing", "healthy", "empty")),
    "overview-groups": ("/?group=environment&sort=ready", ("failing",)),
    "overview-none": ("/?q=nothing+like+this&group=environment", ("failing",)),
    "target": ("/targets/staging-chat/", ("failing",)),
    "target-15m": ("/targets/staging-chat/?range=15m", ("failing",)),
    "target-24h": ("/targets/staging-chat/?range=24h", ("failing",)),
    "target-zoom": ("/targets/staging-chat/?range=1h", ("failing",)),
    "target-different": ("/targets/staging-chat/?range=1h", ("failing",)),
    "target-empty-range": ("/targets/staging-chat/?from=20260101T000000Z&to=20260101T060000Z", ("failing",)),
    "act-undo": ("/targets/staging-chat/?act=undo:2", ("failing",)),
    "act-choose": ("/targets/staging-chat/?act=back", ("failing",)),
    "act-production": ("/targets/orders-feed/?act=plan:phase-1", ("failing",)),
    "act-watch": ("/targets/staging-chat/?act=r3", ("cured",)),
    "act-stands": ("/targets/staging-chat/", ("cured",)),
    "probe": ("/targets/staging-chat/", ("failing",)),
    "target-lives": ("/targets/chat/?range=1h", ("residents",)),
    "target-form": ("/targets/add/", ("residents",)),
    "target-up": ("/targets/chat/", ("healthy",)),
    "race-checks": ("/targets/staging-chat/race-checks/", ("failing",)),
    "flags": ("/flags/?env=staging", ("failing", "empty")),
    "flag": ("/flags/staging/readiness-strategy/", ("failing", "empty")),
    "ramp": ("/flags/staging/client-ack/ramp/?variant=off&steps=10", ("failing",)),
    "kill": ("/flags/production/client-ack/kill/", ("failing",)),
    "promote": ("/flags/production/promote/", ("failing",)),
    "rollback": ("/rollback/?env=production", ("failing",)),
    "strategies": ("/strategies/", ("failing", "healthy", "empty")),
    "strategies-1h": ("/strategies/?window=1h&env=staging", ("failing",)),
    "audit": ("/audit/", ("failing",)),
    "deploys": ("/deploys/", ("failing", "empty")),
    "deploy-mark": ("/deploys/mark/?env=production", ("failing",)),
    "flag-edit": ("/flags/staging/readiness-strategy/edit/", ("failing",)),
    "proposals": ("/flags/proposals/", ("failing",)),
    "policy": ("/flags/policy/production/", ("residents",)),
    "sessions": ("/sessions/", ("failing",)),
    "guard": ("/flags/staging/readiness-strategy/guard/", ("failing",)),
    "flags-use": ("/flags/use/?env=staging", ("failing", "empty")),
    "keys": ("/keys/", ("residents",)),
    "docs": ("/docs/", ("failing",)),
    "doc": ("/docs/failures/#accept_race", ("failing",)),
    "help": ("/targets/staging-chat/", ("failing",)),
    "key-make": ("/keys/make/?env=production", ("residents",)),
}
GESTURES = {"target-zoom": gestures.zoom, "target-different": gestures.pick}
"""What is done on a page before it is taken, by the beginning of its name."""


@contextmanager
def product(scene: tuple[str, int, int] | None) -> Iterator[Daphne]:
    """The web process over generated data that goes on in real time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _redis(Path(folder)) as url,
        Daphne(Path(folder), redis_url=url) as daphne,
    ):
        if scene is None:
            yield daphne
            return
        name, targets, minutes = scene
        command = [
            sys.executable,
            "-m",
            "tests.support.make_history",
            name,
            "--targets",
            str(targets),
            "--minutes",
            str(minutes),
            "--follow",
        ]
        with subprocess.Popen(
            command, cwd=BASE_DIR, env=daphne.environment, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            try:
                yield daphne
            finally:
                writer.terminate()


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [redis_server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def main(wanted: list[str]) -> None:
    """Take them all, or those whose name contains one of the words given."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=ARGUMENTS)
        for scene, data in SCENES.items():
            pages = {name: path for name, (path, scenes) in PAGES.items() if scene in scenes}
            if any(_asked(f"{name}-{scene}", wanted) for name in pages):
                with product(data) as daphne:
                    _shoot(browser, daphne, scene, pages, wanted)
        browser.close()


def _asked(name: str, wanted: list[str]) -> bool:
    return not wanted or any(word in name for word in wanted)


def _shoot(browser: Browser, daphne: Daphne, scene: str, pages: dict[str, str], wanted: list[str]) -> None:
    for theme in ("dark", "light"):
        for width, height in WIDTHS.items():
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,
                base_url=daphne.url,
            )
            page = context.new_page()
            page.goto(
                daphne.manage("signin_link", "--user", "Mara Klein", "--role", ROLES.get(scene, "responder")).replace(
                    ":8000", f":{daphne.port}"
                )
            )
            for name, path in pages.items():
                if _asked(f"{name}-{scene}", wanted):
                    _one(page, path, FOLDER / f"{name}-{scene}-{theme}-{width}.png")
            context.close()


def _one(page: Page, path: str, file: Path) -> None:
    page.goto(path)
    if file.name.startswith("probe"):
        page.locator("[data-table]").first.click()
        page.locator(".probes tr", has_text="accept_race").first.locator("a").click()
    for start, gesture in GESTURES.items():
        if file.name.startswith(start):
            gesture(page)
    page.wait_for_timeout(1500)
    height = page.evaluate("document.documentElement.scrollHeight")
    for top in range(0, height, 600):
        # Charts are drawn where they are seen.
        page.evaluate(f"window.scrollTo(0, {top})")
        page.wait_for_timeout(150)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(800)
    if file.name.startswith("help"):
        page.locator('.facts [data-help^="kind:"]').first.click()
        page.wait_for_timeout(400)
    page.screenshot(path=file, full_page=True)
    if "-390" in file.name:
        # What a phone shows first, at its own size.
        page.screenshot(path=file.with_stem(f"{file.stem}-fold"))
    print(file)  # noqa: T201 (a command line)


if __name__ == "__main__":
    main(sys.argv[1:])
