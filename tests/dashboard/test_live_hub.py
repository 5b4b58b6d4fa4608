"""The hub: each topic is computed once for all who listen, at a bounded rate, and never looks newer than it is."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.live import hub as hub_module
from dashboard.live.hub import Hub
from dashboard.live.topics import changes
from tests.support.waiting import await_until


class Source:
    """Topics held in memory: what the database is to the product."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, Any]] = {"health": {"down": 0}, "target:chat": {"state": "up"}}
        self.versions: Counter[str] = Counter()
        self.computed: Counter[str] = Counter()
        self.fails = False
        self.rested = 0
        self.ended: set[str] = set()

    def known(self, topic: str) -> bool:
        return topic in self.data

    def compute(self, topic: str, now: datetime) -> dict[str, Any] | None:
        self.computed[topic] += 1
        return dict(self.data[topic])

    def pulses(self, topics: Collection[str]) -> dict[str, int]:
        if self.fails:
            raise OSError("the database does not answer")
        return {topic: self.versions[topic] for topic in topics}

    def living(self, sessions: Collection[str], now: datetime) -> set[str]:
        if self.fails:
            raise OSError("the database does not answer")
        return set(sessions) - self.ended

    def rest(self) -> None:
        self.rested += 1

    def change(self, topic: str, **fields: Any) -> None:
        self.data[topic] = {**self.data[topic], **fields}
        self.versions[topic] += 1


class Page:
    """A listener that keeps what it was told."""

    def __init__(self, session: str = "vera's", *, answers: bool = False) -> None:
        self.session = session
        self.last_heard = time.monotonic()
        self._answers = answers
        self.told: list[dict[str, Any]] = []
        self.dropped_with: int | None = None

    async def deliver(self, text: str) -> None:
        self.told.append(json.loads(text))
        if self._answers:
            self.last_heard = time.monotonic()

    async def drop(self, code: int) -> None:
        self.dropped_with = code

    def updates(self, topic: str) -> list[dict[str, Any]]:
        return [each for each in self.told if each.get("topic") == topic]

    def beats(self) -> list[dict[str, Any]]:
        return [each for each in self.told if each["type"] == "heartbeat"]


async def _in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


async def _no_wakeups(_: Hub) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(hub_module, "SESSIONS_SECONDS", 0.05)


@pytest.fixture
async def hub(source: Source) -> AsyncIterator[Hub]:
    made = Hub(source, _in_thread, _no_wakeups, per_second=50)
    yield made
    for listener in made.listeners:
        made.leave(listener)


async def test_a_new_page_is_told_everything_at_once(hub: Hub) -> None:
    page = Page()
    await hub.subscribe(page, ["target:chat"])
    [update] = page.updates("target:chat")
    assert (update["whole"], update["data"]) == (True, {"state": "up"})


async def test_a_change_in_the_database_reaches_every_page_from_one_computation(hub: Hub, source: Source) -> None:
    pages = [Page() for _ in range(50)]
    for page in pages:
        await hub.subscribe(page, ["target:chat"])
    before = source.computed["target:chat"]
    source.change("target:chat", state="down")
    await await_until(lambda: all(page.updates("target:chat")[-1]["data"] == {"state": "down"} for page in pages))
    assert source.computed["target:chat"] == before + 1
    assert before == 1


async def test_what_did_not_change_is_not_told_again(hub: Hub, source: Source) -> None:
    page = Page()
    await hub.subscribe(page, ["target:chat"])
    source.versions["target:chat"] += 1
    await await_until(lambda: source.computed["target:chat"] == 2)
    source.change("target:chat", state="down")
    await await_until(lambda: len(page.updates("target:chat")) == 2)
    assert page.updates("target:chat")[-1]["data"] == {"state": "down"}


async def test_many_wake_ups_are_one_update(hub: Hub, source: Source) -> None:
    """Twenty results in a moment cost one computation, not twenty."""
    page = Page()
    await hub.subscribe(page, ["target:chat"])
    for number in range(20):
        source.change("target:chat", number=number)
        hub.wake()
    await await_until(lambda: page.updates("target:chat")[-1]["data"].get("number") == 19)
    assert source.computed["target:chat"] <= 3


async def test_subscribing_again_replaces_and_resynchronises(hub: Hub, source: Source) -> None:
    page = Page()
    await hub.subscribe(page, ["target:chat"])
    await hub.subscribe(page, ["health"])
    assert page.updates("health")[-1]["whole"] is True
    source.change("target:chat", state="down")
    source.change("health", down=1)
    await await_until(lambda: page.updates("health")[-1]["data"] == {"down": 1})
    assert len(page.updates("target:chat")) == 1


async def test_the_hub_rests_when_nobody_is_left(hub: Hub, source: Source) -> None:
    page = Page()
    await hub.subscribe(page, ["health"])
    hub.leave(page)
    await await_until(lambda: source.rested == 1)
    told = len(page.told)
    source.change("health", down=1)
    again = Page()
    await hub.subscribe(again, ["health"])
    assert again.updates("health")[-1]["data"] == {"down": 1}
    assert len(page.told) == told


async def test_while_the_database_is_away_each_heartbeat_says_since_when(hub: Hub, source: Source) -> None:
    page = Page()
    source.fails = True
    await hub.subscribe(page, ["health"])
    await await_until(lambda: any("database_away_since" in beat for beat in page.beats()))
    source.fails = False
    source.change("health", down=2)
    await await_until(lambda: page.updates("health")[-1]["data"] == {"down": 2})
    await await_until(lambda: "database_away_since" not in page.beats()[-1])


async def test_a_page_that_sleeps_is_dropped_and_the_others_go_on(hub: Hub) -> None:
    asleep, awake = Page(), Page()
    asleep.last_heard -= 60
    await hub.subscribe(asleep, ["health"])
    await hub.subscribe(awake, ["health"])
    await await_until(lambda: asleep.dropped_with == 4408)
    assert awake.dropped_with is None
    assert asleep.beats() == []


async def test_only_a_page_that_never_answers_is_asleep(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is open, and however much it is told: answering a heartbeat is all it takes."""
    monkeypatch.setattr(hub_module, "SILENT_SECONDS", 1.0)
    answering, silent = Page(answers=True), Page()
    opened = time.monotonic()
    await hub.subscribe(answering, ["health"])
    await hub.subscribe(silent, ["health"])
    await await_until(lambda: silent.dropped_with == hub_module.SLEPT)
    await await_until(lambda: time.monotonic() > opened + 2)
    assert answering.dropped_with is None


async def test_a_page_is_closed_when_its_session_ends_and_the_others_are_not(hub: Hub, source: Source) -> None:
    hers, his = Page("hers"), Page("his")
    await hub.subscribe(hers, ["health"])
    await hub.subscribe(his, ["health"])
    source.ended.add("hers")
    await await_until(lambda: hers.dropped_with == hub_module.SIGNED_OUT)
    assert his.dropped_with is None


async def test_nobody_is_signed_out_because_the_database_is_away(hub: Hub, source: Source) -> None:
    page = Page()
    source.fails = True
    await hub.subscribe(page, ["health"])
    await await_until(lambda: any("database_away_since" in beat for beat in page.beats()))
    beats = len(page.beats())
    await await_until(lambda: len(page.beats()) > beats + 3)
    assert page.dropped_with is None


async def test_what_the_process_knows_of_itself_is_part_of_health(hub: Hub) -> None:
    page = Page()
    await hub.subscribe(page, ["health"])
    hub.tell_health(redis_away_since="2026-11-20T03:00:00+00:00")
    await await_until(lambda: page.updates("health")[-1]["data"].get("redis_away_since"))
    assert hub.redis_away_since == "2026-11-20T03:00:00+00:00"


async def test_a_topic_of_which_nothing_was_written_is_not_computed(hub: Hub, source: Source) -> None:
    """Twenty results a second of other targets cost the page of a quiet one nothing."""
    source.data["target:quiet"] = {"state": "up"}
    quiet, busy = Page(), Page()
    await hub.subscribe(quiet, ["target:quiet"])
    await hub.subscribe(busy, ["target:chat"])
    for number in range(3):
        source.change("target:chat", number=number)
        hub.wake()
        await await_until(lambda number=number: busy.updates("target:chat")[-1]["data"].get("number") == number)  # type: ignore[misc]
    assert source.computed["target:quiet"] == 1


async def test_what_turns_stale_by_time_alone_is_told(
    hub: Hub, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "WHOLE_SECONDS", 0.1)
    page = Page()
    await hub.subscribe(page, ["target:chat"])
    source.data["target:chat"] = {"state": "stale"}
    await await_until(lambda: page.updates("target:chat")[-1]["data"] == {"state": "stale"})


async def test_computing_takes_no_more_than_its_share_but_may_save_up(
    hub: Hub, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was saved is spent at once; then each computation waits until it is allowed again."""
    monkeypatch.setattr(hub_module, "MOST_SHARE", 0.2)
    page, spend = Page(), 0.1

    def slow(topic: str, now: datetime) -> dict[str, Any]:
        source.computed[topic] += 1
        ends = time.thread_time() + spend
        while time.thread_time() < ends:
            pass
        return dict(source.data[topic])

    monkeypatch.setattr(source, "compute", slow)
    began = time.monotonic()
    await hub.subscribe(page, ["target:chat"])
    while time.monotonic() < began + 1.5:
        source.change("target:chat", at=time.monotonic())
        hub.wake()
        await asyncio.sleep(0.01)
    allowed = hub_module.MOST_SAVED + 0.2 * (time.monotonic() - began)
    assert 3 <= source.computed["target:chat"] <= allowed / spend + 1


async def test_pages_that_come_at_once_lose_nothing(hub: Hub, source: Source) -> None:
    """After a restart fifty pages subscribe while results arrive: each ends with what the database says."""
    source.data["overview"] = {"rows": {"chat": {"n": 0, "name": "Chat"}}, "order": ["chat"]}
    pages = [Page() for _ in range(20)]

    async def busy() -> None:
        for number in range(1, 40):
            source.change("overview", rows={"chat": {"n": number, "name": "Chat"}})
            hub.wake()
            await asyncio.sleep(0.002)

    await asyncio.gather(busy(), *(hub.subscribe(page, ["overview"]) for page in pages))

    def seen(page: Page) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for update in page.updates("overview"):
            fields |= update["data"]["rows"].get("chat", {})
        return fields

    await await_until(lambda: all(seen(page) == {"n": 39, "name": "Chat"} for page in pages))
    assert all(page.updates("overview")[0]["whole"] for page in pages)


def test_an_update_of_the_overview_carries_only_what_changed() -> None:
    before = {"rows": {"a": {"p95": "1", "p50": "1"}, "b": {"p95": "2", "p50": "1"}}, "order": ["a", "b"], "counts": {}}
    after = {**before, "rows": {"a": {"p95": "1", "p50": "1"}, "b": {"p95": "3", "p50": "1"}}, "order": ["b", "a"]}
    assert changes(before, after) == {"rows": {"b": {"p95": "3"}}, "order": ["b", "a"]}
    assert changes(None, after) == after
    assert changes(after, after) == {"rows": {}}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), min_size=1), min_size=1, max_size=6))
@settings(max_examples=50)
def test_updates_one_after_the_other_amount_to_the_newest(states: list[dict[str, int]]) -> None:
    """Whatever changes, comes and goes: a page that heard the first whole and each change knows the last."""
    datas = [{"rows": {slug: {"n": n, "m": n // 2} for slug, n in s.items()}, "order": sorted(s)} for s in states]
    told = [changes(before, data) for before, data in zip([None, *datas], datas, strict=False)]
    page: dict[str, Any] = {}
    for update in told:
        rows = dict(page.get("rows", {}))
        for slug, fields in update["rows"].items():
            rows[slug] = {**rows.get(slug, {}), **fields}
        page = {**page, **update}
        page["rows"] = {slug: rows[slug] for slug in page["order"]}
    assert page == datas[-1]
