"""The progress bar of a burst, on stderr; nothing at all where that is no terminal, or for one probe alone."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from probes.engine.summary import Summary

REFRESH_SECONDS = 0.2


@asynccontextmanager
async def progress(count: int, summary: Summary) -> AsyncIterator[Callable[[], None]]:
    """Draws while the block runs; call what it gives after each outcome. The bar goes away at the end.

    It is drawn by the probes' own loop, a few times a second: rich's own thread would compete with the probes.
    """
    console = Console(stderr=True)
    if count == 1 or not console.is_terminal or console.is_dumb_terminal or not sys.stderr.isatty():
        yield lambda: None
        return
    columns = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, auto_refresh=False, transient=True, expand=True) as bar:
        task = bar.add_task("no failure", total=count)

        def advance() -> None:
            told = f"{summary.failed:,} failed" if summary.failed else "no failure"
            bar.update(task, advance=1, description=told)

        ticker = asyncio.create_task(_refresh(bar))
        try:
            yield advance
        finally:
            ticker.cancel()
            with suppress(asyncio.CancelledError):
                await ticker


async def _refresh(bar: Progress) -> None:
    while True:
        bar.refresh()
        await asyncio.sleep(REFRESH_SECONDS)
