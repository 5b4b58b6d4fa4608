"""The watcher that keeps what is served in memory, and the streams that follow it, within one process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections as database_connections
from django.utils import timezone

from connections.flags import control, keys
from connections.flags.keys import Holder
from connections.models import FlagUse, ServerKey
from dashboard import asgi, counting_uses, revisions
from dashboard.api import events
from dashboard.revisions import Watcher
from tests.support.waiting import await_until

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
NO_REDIS = "redis://127.0.0.1:1/0"


@asynccontextmanager
async def watching(poll_seconds: float = 0.02) -> AsyncIterator[Watcher]:
    async with Watcher(redis_url=NO_REDIS, poll_seconds=poll_seconds) as watcher, asyncio.timeout(20):
        yield watcher


def make_key(environment: str = "staging") -> tuple[str, Holder]:
    _, key = keys.create(environment, "chat-1", author="alice")
    holder = keys.verify(key)
    assert holder is not None
    return key, holder


async def beside(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Database work of somebody else, in a thread and a connection of its own."""

    def done() -> Any:
        try:
            return work(*arguments, **named)
        finally:
            database_connections.close_all()

    return await asyncio.to_thread(done)


async def toggle(strategy: str, seen: int) -> None:
    values = {"readiness-strategy": strategy}
    await beside(control.change, "staging", values, author="alice", reason="chat answers vanish", expected_version=seen)


async def test_every_environment_is_read_at_once() -> None:
    async with watching() as watcher:
        for environment in ("development", "staging", "production"):
            assert (await watcher.snapshot(environment)).revision == 1
        with pytest.raises(KeyError):
            await watcher.snapshot("nowhere")


async def test_the_poll_finds_a_change() -> None:
    async with watching() as watcher:
        changes = watcher.changes("staging")
        assert (await anext(changes)).revision == 1
        await toggle("immediate", 1)
        snapshot = await anext(changes)
        assert snapshot.revision == 2
        assert b'"defaultVariant":"immediate"' in snapshot.definitions


async def test_the_clock_of_two_processes_lifts_an_expired_kill_once_and_steps_a_ramp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revisions, "CLOCK_SECONDS", 0.02)
    soon = timezone.now() + timedelta(seconds=0.2)
    steps = [{"percentage": 10, "hold_seconds": 0.1}, {"percentage": 50, "hold_seconds": 60}]
    by: dict[str, Any] = {"author": "alice", "reason": "chat answers vanish"}
    await beside(control.kill, "staging", "client-ack", expires_at=soon, **by)
    await beside(control.start_ramp, "staging", "readiness-strategy", "ready_ack", steps, **by)
    async with watching() as watcher, watching():
        await watcher.loaded()
        await await_until(lambda: watcher._snapshots["staging"].revision == 5, what="expired and stepped")
        await asyncio.sleep(0.2)
        snapshot = await watcher.snapshot("staging")
    assert [(layer.kind, layer.share) for layer in snapshot.flags.layers] == [("ramp", 500)]
    assert snapshot.revision == 5


async def test_whoever_holds_the_served_revision_waits_for_the_next() -> None:
    async with watching() as watcher:
        await watcher.loaded()
        changes = watcher.changes("staging", after=1)
        waiting = asyncio.ensure_future(anext(changes))
        await toggle("immediate", 1)
        assert (await waiting).revision == 2


async def test_being_woken_is_enough() -> None:
    async with watching(poll_seconds=3600) as watcher:
        await watcher.loaded()
        await toggle("immediate", 1)
        watcher.wake()
        changed = await watcher.next_change("staging", after=1, seconds=None)
        assert changed is not None
        assert changed.revision == 2


async def test_a_key_is_looked_up_once_and_then_known() -> None:
    async with watching(poll_seconds=3600) as watcher:
        await watcher.loaded()
        key, holder = await beside(make_key)
        assert await watcher.holder(key) == holder
        assert await watcher.holder("rws_wrong") is None
        assert await watcher.stream_holder(keys.stream_token(holder)) == holder
        assert await watcher.stream_holder("nonsense") is None


async def test_a_fleet_that_starts_with_a_new_key_is_known_at_once() -> None:
    """All ask while the first one's look-up is under way; one of them leaves meanwhile."""
    async with watching(poll_seconds=3600) as watcher:
        await watcher.loaded()
        key, holder = await beside(make_key)
        asking = [asyncio.ensure_future(watcher.holder(key)) for _ in range(50)]
        await asyncio.sleep(0)
        asking.pop(0).cancel()
        assert await asyncio.gather(*asking) == [holder] * 49


async def test_a_revoked_key_is_forgotten_by_the_next_poll() -> None:
    async with watching() as watcher:
        key, holder = await beside(make_key)
        assert await watcher.holder(key) == holder
        row = await beside(ServerKey.objects.get)
        await beside(keys.revoke, row, author="alice")
        await await_until(lambda: not watcher.still_holds(holder))
        assert await watcher.holder(key) is None
        assert await watcher.stream_holder(keys.stream_token(holder)) is None


async def test_a_flood_of_wrong_keys_does_not_keep_the_database_busy() -> None:
    """Above a hundred look-ups between two polls, an unknown key waits for the poll like everybody else."""
    async with watching(poll_seconds=3600) as watcher:
        await watcher.loaded()
        for number in range(150):
            assert await watcher.holder(f"rws_wrong{number}") is None
        key, holder = await beside(make_key)
        assert await watcher.holder(key) is None
        watcher.wake()
        await await_until(lambda: watcher.still_holds(holder))
        assert await watcher.holder(key) == holder


async def test_the_current_event_is_repeated_and_heartbeats_fill_the_time() -> None:
    """A client whose fetch failed hears again; a dead connection is noticed."""
    async with watching(poll_seconds=3600) as watcher:
        _, holder = await beside(make_key)
        watcher.wake()
        await await_until(lambda: watcher.still_holds(holder))
        stream = events.events(watcher, holder, "1", heartbeat=0.02, repeat=0.07)
        heard = [await anext(stream) for _ in range(8)]
        assert heard[0] == b"retry: 1000\n\n"
        assert heard[1] == b": still here\n\n"
        assert events.event(await watcher.snapshot("staging")) in heard
        assert all(one.endswith(b"\n\n") for one in heard)


async def test_a_stream_ends_with_its_key() -> None:
    async with watching() as watcher:
        key, holder = await beside(make_key)
        await watcher.holder(key)
        stream = events.events(watcher, holder, "", heartbeat=10, repeat=25)
        assert b"id: 1\n" in await anext(stream)
        row = await beside(ServerKey.objects.get)
        await beside(keys.revoke, row, author="alice")
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_what_clients_evaluate_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting_uses, "FLUSH_SECONDS", 0.02)
    async with watching() as watcher:
        _, holder = await beside(make_key)
        for _ in range(3):
            watcher.uses.evaluated(holder, "client-ack", "on")

        def rows() -> list[Any]:
            return list(FlagUse.objects.values_list("source", "reader", "flag_key", "variant", "count"))

        found: list[Any] = []
        while not found:
            found = await beside(rows)
        assert found == [("ofrep", "chat-1", "client-ack", "on", 3)]


async def test_a_page_starts_the_watcher_and_so_the_clock_and_a_file_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    async def answered(scope: Any, receive: Any, send: Any) -> None:
        pass

    monkeypatch.setattr(asgi, "watcher", lambda: started.append("watcher"))
    monkeypatch.setattr(asgi, "_files", answered)
    monkeypatch.setattr(asgi, "_other", answered)
    await asgi.http({"path": "/static/console.css"}, None, None)
    assert started == []
    await asgi.http({"path": "/flags/"}, None, None)
    assert started == ["watcher"]
