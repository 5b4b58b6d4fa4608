"""Who else looks at a target, and what they are about to do: within a process and, through Redis, across them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dashboard.live import presence as module
from dashboard.live.presence import Person, Presence, understood, words
from tests.support.waiting import await_until

NO_REDIS = "redis://127.0.0.1:1/0"
ROSA, VERA = Person(1, "Rosa"), Person(2, "Vera")


class Page:
    """A page that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def deliver(self, text: str) -> None:
        self.told.append(json.loads(text))

    @property
    def people(self) -> list[tuple[str, str]]:
        if not self.told:
            return []
        return [(one["name"], one["words"]) for one in self.told[-1]["data"]["people"]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COALESCE_SECONDS", 0.01)


@pytest.fixture
async def pages() -> AsyncIterator[tuple[Page, Page]]:
    yield Page(), Page()
    # What was left ends by itself within the fixture's loop.
    await asyncio.sleep(0)


async def test_two_people_of_one_process_see_each_other_without_redis(pages: tuple[Page, Page]) -> None:
    mine, hers = pages
    here = Presence(NO_REDIS, renew_seconds=0.05)
    here.say(mine, "chat", ROSA)
    here.say(hers, "chat", VERA)
    await await_until(lambda: mine.people == [("Vera", "")] and hers.people == [("Rosa", "")])
    here.say(mine, "chat", Person(1, "Rosa", "undo:42"))
    await await_until(lambda: hers.people == [("Rosa", "is undoing revision 42")])
    here.leave(mine)
    await await_until(lambda: hers.people == [])
    here.leave(hers)


async def test_only_those_of_the_same_target_are_told_and_ones_own_tabs_are_no_company(
    pages: tuple[Page, Page],
) -> None:
    mine, other = pages
    here, elsewhere = Presence(NO_REDIS, renew_seconds=0.05), Page()
    here.say(mine, "chat", ROSA)
    here.say(other, "chat", Person(1, "Rosa", "back"))
    here.say(elsewhere, "orders", VERA)
    await await_until(lambda: bool(mine.told and other.told and elsewhere.told))
    assert mine.people == other.people == elsewhere.people == []
    for page in (mine, other, elsewhere):
        here.leave(page)


async def test_processes_learn_of_each_others_people_and_forget_those_that_leave(
    pages: tuple[Page, Page], redis_url: str
) -> None:
    mine, hers = pages
    one, two = Presence(redis_url, renew_seconds=0.2), Presence(redis_url, renew_seconds=0.2)
    one.say(mine, "shared", ROSA)
    two.say(hers, "shared", VERA)
    await await_until(lambda: mine.people == [("Vera", "")] and hers.people == [("Rosa", "")])
    two.say(hers, "shared", Person(2, "Vera", "kill:client-ack"))
    await await_until(lambda: mine.people == [("Vera", "is killing client-ack")])
    two.leave(hers)
    await await_until(lambda: mine.people == [])
    one.leave(mine)


async def test_the_people_of_a_process_that_died_are_forgotten(
    pages: tuple[Page, Page], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 1)
    mine, hers = pages
    one, two = Presence(redis_url, renew_seconds=0.1), Presence(redis_url, renew_seconds=30.0)
    two.say(hers, "lost", VERA)
    one.say(mine, "lost", ROSA)
    await await_until(lambda: mine.people == [("Vera", "")])
    await await_until(lambda: mine.people == [])
    one.leave(mine)
    two.leave(hers)


@pytest.mark.parametrize(
    ("target", "doing", "may"),
    [
        ("chat", "", True),
        ("staging-chat", "undo:42", True),
        ("chat", "lift:client-ack:kill", True),
        ("chat", "undo:<b>", False),
        ("chat", "UNDO", False),
        ("", "", False),
        ("a b", "", False),
        ("x" * 81, "", False),
        (7, "", False),
        ("chat", None, False),
    ],
)
def test_what_a_page_may_say(target: object, doing: object, may: bool) -> None:
    assert understood(target, doing) is may


@pytest.mark.parametrize(
    ("doing", "told"),
    [
        ("", ""),
        ("r43", ""),
        ("undo:42", "is undoing revision 42"),
        ("lift:client-ack:kill", "is lifting the kill of client-ack"),
        ("plan:phase-1", "is about to run phase 1"),
        ("restore:7", "is restoring version 7"),
        ("back", "is choosing a way back"),
        ("shouting:1", ""),
    ],
)
def test_what_is_told_of_it(doing: str, told: str) -> None:
    assert words(doing) == told
