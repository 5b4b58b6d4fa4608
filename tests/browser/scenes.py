"""Data for browser tests, recorded into the server's own database by another process, as the recorder would."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page

from dashboard.env import BASE_DIR
from tests.support import commands
from tests.support.daphne import Daphne

_REMEMBER_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.value > 0) {
      for (const { node, previousRect: was, currentRect: is } of entry.sources) {
        const name = node?.className || node?.parentNode?.className || node?.nodeName;
        shifts.push(`${entry.value.toFixed(6)} ${name} "${node?.textContent.trim()}" ${was.x} ${is.x}`);
      }
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""


def make(daphne: Daphne, *arguments: str) -> None:
    """`tests.support.make_history` with these arguments, on the server's data."""
    commands.run("-m", "tests.support.make_history", *arguments, environ=daphne.environment)


def results(daphne: Daphne, slug: str, count: int, *, fail: bool, revision: int = 1) -> None:
    """So many new results of a target, served by this revision."""
    failing = ["--fail"] if fail else []
    make(daphne, "append", "--slug", slug, "--count", str(count), "--revision", str(revision), *failing)


@contextmanager
def going_on(daphne: Daphne, scenario: str, *arguments: str) -> Iterator[None]:
    """A scenario that goes on in real time during the block."""
    command = [sys.executable, "-m", "tests.support.make_history", scenario, *arguments, "--follow"]
    with subprocess.Popen(
        command, cwd=BASE_DIR, env=daphne.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "generated\n"
            yield
        finally:
            writer.terminate()


def watch_shifts(page: Page) -> None:
    """Remember every layout shift from the next load on."""
    page.add_init_script(_REMEMBER_SHIFTS)


def shifts(page: Page) -> list[str]:
    """What moved without a person's doing."""
    found: list[str] = page.evaluate("window.shifts")
    return found
