"""Reports of a fleet are written many at a time."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from connections.flags.keys import Holder
from connections.flags.reports import Report, Told
from dashboard.inbox import Inbox

HOLDER = Holder(1, "staging", "chat", "hash")
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def told(instance: str, revision: int, run: str = "first") -> Told:
    return Told(HOLDER, Report(instance, "0.1.0", revision, run, 1.0, False, {}, {}, {}), NOON)


class Book:
    """Keeps the batches that were written."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self.error: Exception | None = None

    async def write(self, batch: Sequence[Told]) -> None:
        if self.error:
            raise self.error
        self.batches.append([(one.report.instance, one.report.held_revision) for one in batch])


async def test_what_comes_together_is_written_together_and_the_newest_of_a_process_alone() -> None:
    book = Book()
    inbox = Inbox(book.write, gather_seconds=0.01)
    async with asyncio.timeout(5):
        await asyncio.gather(*(inbox.put(told(*one)) for one in [("a", 1), ("b", 1), ("a", 2)]))
        await inbox.put(told("c", 1))
    assert book.batches == [[("b", 1), ("a", 2)], [("c", 1)]]


async def test_reports_of_a_process_without_a_name_are_all_written() -> None:
    book = Book()
    inbox = Inbox(book.write, gather_seconds=0.01)
    await asyncio.gather(*(inbox.put(told("a", revision, run="")) for revision in (1, 2)))
    assert book.batches == [[("a", 1), ("a", 2)]]


async def test_an_error_is_everybodys_and_the_next_report_is_written() -> None:
    book = Book()
    inbox = Inbox(book.write, gather_seconds=0.01)
    book.error = OSError("the disk is full")
    answers = await asyncio.gather(*(inbox.put(told(name, 1)) for name in "ab"), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["the disk is full"] * 2
    book.error = None
    await inbox.put(told("a", 1))
    assert book.batches == [[("a", 1)]]


async def test_a_client_that_leaves_takes_nothing_with_it() -> None:
    book = Book()
    inbox = Inbox(book.write, gather_seconds=0.01)
    leaving = asyncio.ensure_future(inbox.put(told("a", 1)))
    staying = asyncio.ensure_future(inbox.put(told("b", 1)))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert book.batches == [[("a", 1), ("b", 1)]]
    with pytest.raises(asyncio.CancelledError):
        await leaving
