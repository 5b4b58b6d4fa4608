"""Flag sources that are quick to retry, so that tests need not wait, and an application that waits behind a gate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connections.gate import FlagSource
from connections.gate.connection import Application
from connections.gate.source import Source
from tests.connections.gate.applications import ACCEPT, plain
from tests.support.flag_server import KEY


@contextmanager
def following(url: str, cache: Path | None = None, key: str = KEY, **times: float) -> Iterator[FlagSource]:
    """A started source; quick to retry, so that tests need not wait."""
    quick = {"timeout_s": 0.5, "retry_first_s": 0.02, "retry_most_s": 0.1, "report_every_s": 0.05, **times}
    source = FlagSource(url, key, "staging-chat-1", cache, **quick)
    source.start()
    try:
        yield source
    finally:
        source.stop()


def holds(source: Source, revision: int) -> Callable[[], bool]:
    return lambda: source.snapshot().revision == revision


def waiting() -> Application:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        await receive()

    return plain(application)
