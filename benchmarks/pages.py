"""What a page costs: `python -m benchmarks.pages`. Weight over the wire and time to interactive, in chromium.

Interactive: the page has painted, its scripts have run, and 500 ms without a task above 50 ms have begun. Cold: an
empty cache. Warm: the same page again.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.support.product import Product

_QUIET_MS = 500
_OBSERVE = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) longTasks.push(entry.startTime + entry.duration);
}).observe({type: "longtask", buffered: true});
"""
_READ = """() => {
  const navigation = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const rows = [navigation, ...performance.getEntriesByType("resource")];
  return {
    paint: paint ? paint.startTime : 0,
    interactive: Math.max(navigation.domInteractive, paint ? paint.startTime : 0, ...window.longTasks),
    transfer: rows.reduce((sum, row) => sum + row.transferSize, 0),
    decoded: rows.reduce((sum, row) => sum + row.decodedBodySize, 0),
    server: navigation.responseStart - navigation.requestStart,
  };
}"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        product = Product(Path(folder))
        try:
            link = product.wait_ready()
            _measure(product, link)
        finally:
            product.stop()
    return 0


def _measure(product: Product, link: str) -> None:
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.new_page().goto(link)
        cookies = context.storage_state()
        context.close()
        for path in ("/", "/targets/staging-chat/", "/flags/"):
            visitor = browser.new_context(viewport={"width": 1440, "height": 900}, storage_state=cookies)
            visitor.add_init_script(_OBSERVE)
            page = visitor.new_page()
            for state in ("cold", "warm"):
                _print(path, state, page, product.url)
            visitor.close()


def _print(path: str, state: str, page: Page, base: str) -> None:
    page.goto(base + path)
    page.wait_for_timeout(4 * _QUIET_MS)
    figures = page.evaluate(_READ)
    print(
        f"{path:<24} {state}  {figures['transfer'] / 1024:7.1f} KiB over the wire, "
        f"server {figures['server']:5.0f} ms, painted {figures['paint']:5.0f} ms, "
        f"interactive {figures['interactive']:5.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
