"""Flags from somebody else's OFREP server (fast-feature), and from ours as any other client would read them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from connections.gate import OfrepSource, ReadinessGate
from connections.gate.source import MAX_RETRY_AFTER_S, Source, retry_after
from tests.connections.gate.applications import next_json
from tests.support.asgi import serving
from tests.support.flag_sources import waiting
from tests.support.ofrep_elsewhere import KEY, Elsewhere, elsewhere
from tests.support.servers import free_port
from tests.support.waiting import await_until, wait_until


@contextmanager
def asking(url: str, cache: Path | None = None, *, instance: str = "chat-1", **other: Any) -> Iterator[OfrepSource]:
    """A started source that does not wait long."""
    quick = {"poll_every_s": 0.05, "timeout_s": 0.5, "retry_first_s": 0.02, "retry_most_s": 0.1, **other}
    source = OfrepSource(url, KEY, instance, cache, **quick)
    source.start()
    try:
        yield source
    finally:
        source.stop()


def serves(source: Source, strategy: str) -> bool:
    flag = source.snapshot().flags.get("readiness-strategy")
    return flag is not None and flag["defaultVariant"] == strategy


# --- polling ----------------------------------------------------------------------------------------------------------


async def test_a_change_there_reaches_the_next_connection_here() -> None:
    flags = Elsewhere()
    flags.strategy("fixed_delay")
    with (
        elsewhere(flags) as served,
        asking(served.http) as source,
        serving(ReadinessGate(waiting(), flags=source)) as chat,
    ):
        await await_until(lambda: serves(source, "fixed_delay"))
        flags.strategy("immediate")
        await await_until(lambda: serves(source, "immediate"))
        async with connect(chat.ws) as client:
            ready = await next_json(client)
            assert client.response is not None
            assert client.response.headers["Readiness-Strategy"] == "immediate"
            assert "Readiness-Revision" not in client.response.headers
    assert (ready["strategy"], ready["flags_revision"]) == ("immediate", None)


def test_it_asks_for_its_instance_and_conditionally() -> None:
    """One bulk evaluation for the whole process, as this instance; what has not changed is not sent again."""
    flags = Elsewhere()
    flags.strategy("immediate")
    with elsewhere(flags) as served, asking(served.http, context={"region": "eu"}):
        wait_until(lambda: len(flags.answered) >= 4)
    assert all(asked["context"] == {"targetingKey": "chat-1", "region": "eu"} for asked in flags.asked)
    assert {asked["key"] for asked in flags.asked} == {f"Bearer {KEY}"}
    assert flags.answered[0] == 200
    assert set(flags.answered[1:]) == {304}


def test_a_ramp_there_moves_whole_instances() -> None:
    """The documented consequence: with a ramp of 50 %, about half of the instances get the canary, each as a whole."""
    flags = Elsewhere()
    ramp = {"fractional": [{"var": "targetingKey"}, ["immediate", 50], ["dependency_gate", 50]]}
    names = {name: name for name in ("immediate", "dependency_gate")}
    flags.serve("readiness-strategy", "dependency_gate", names, ramp)
    got: list[str] = []
    with elsewhere(flags) as served:
        for number in range(16):
            with asking(served.http, instance=f"chat-{number}") as source:
                wait_until(lambda source=source: bool(source.snapshot().flags))  # type: ignore[misc]  # bound now
                variant = source.snapshot().flags["readiness-strategy"]["defaultVariant"]
                assert "targeting" not in source.snapshot().flags["readiness-strategy"]
                got.append(variant)
    assert 3 <= got.count("immediate") <= 13


def test_a_server_without_etags_is_asked_in_full() -> None:
    """As flagd is; what is held changes only when the answer does."""
    flags = Elsewhere()
    flags.drop_etag = True
    flags.strategy("immediate")
    with elsewhere(flags) as served, asking(served.http) as source:
        wait_until(lambda: len(flags.answered) >= 2)
        held = source.snapshot()
        wait_until(lambda: len(flags.answered) >= 5)
        assert source.snapshot() is held
    assert set(flags.answered) == {200}


def test_another_way_to_authenticate() -> None:
    flags = Elsewhere()
    with elsewhere(flags) as served:
        source = OfrepSource(served.http, "", "chat-1", headers={"X-API-Key": "theirs"})
        source.start()
        wait_until(lambda: flags.asked)
        source.stop()
    assert flags.asked[0]["key"] == "theirs"


# --- trouble ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_an_error_status_keeps_what_was_held_and_is_logged_once(status: int, caplog: pytest.LogCaptureFixture) -> None:
    flags = Elsewhere()
    flags.strategy("immediate")
    with elsewhere(flags) as served, asking(served.http) as source:
        wait_until(lambda: serves(source, "immediate"))
        flags.strategy("fixed_delay")
        flags.status = status
        asked = len(flags.asked)
        wait_until(lambda: len(flags.asked) > asked + 5)
        assert serves(source, "immediate")
        told = [each.getMessage() for each in caplog.records if each.name == "readywire.flags"]
        assert len([line for line in told if f"answered {status}" in line]) == 1
        assert KEY not in "".join(told)
        flags.status = 200
        wait_until(lambda: serves(source, "fixed_delay"))


def test_a_server_that_asks_to_wait_is_left_alone() -> None:
    """Retry-After: no request in that time, and none later than it said by much."""
    flags = Elsewhere()
    flags.strategy("immediate")
    flags.status, flags.retry_after = 429, "600"
    with elsewhere(flags) as served, asking(served.http) as source:
        wait_until(lambda: len(flags.asked) == 1)
        patience = OfrepSource(served.http, KEY, "another", poll_every_s=0.05, retry_first_s=0.02)
        flags.retry_after = "0"
        patience.start()
        wait_until(lambda: len([asked for asked in flags.asked if asked["context"]["targetingKey"] == "another"]) > 5)
        patience.stop()
        assert len([asked for asked in flags.asked if asked["context"]["targetingKey"] == "chat-1"]) == 1
        assert source.snapshot().origin == "default"


NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3),
        (" 3 ", 3),
        ("0", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ((NOW + timedelta(seconds=90)).isoformat(), 90),
        ("2026-11-20T12:01:30Z", 90),
        ("2026-11-20T12:01:30", 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("999999999999", MAX_RETRY_AFTER_S),
        ("2096-11-20T12:00:00Z", MAX_RETRY_AFTER_S),
        ("-3", 0),
        ("soon", 0),
        ("٣", 0),
        ("", 0),
    ],
)
def test_retry_after_is_read_in_every_form_that_servers_use(text: str, seconds: float) -> None:
    """Whole seconds, an HTTP date, the ISO date of OFREP's own example; a misread date must not stop us for long."""
    assert retry_after({"retry-after": text}, NOW) == seconds


def test_nothing_said_is_no_wait() -> None:
    assert retry_after({}, NOW) == 0


# --- the last known good ----------------------------------------------------------------------------------------------


def test_the_last_known_good_survives_a_restart_while_the_server_is_dead(tmp_path: Path) -> None:
    flags, port, cache = Elsewhere(), free_port(), tmp_path / "flags.json"
    flags.strategy("immediate")
    with elsewhere(flags, port=port) as served, asking(served.http, cache):
        wait_until(cache.exists)
    with asking(f"http://127.0.0.1:{port}", cache) as source:
        assert (source.snapshot().origin, serves(source, "immediate")) == ("disk", True)
    assert KEY not in cache.read_text()


@pytest.mark.parametrize("other", [{"instance": "chat-2"}, {"context": {"region": "eu"}}, {"headers": {"Space": "b"}}])
def test_what_was_evaluated_for_another_instance_or_context_is_never_used(
    other: dict[str, Any], tmp_path: Path
) -> None:
    flags, port, cache = Elsewhere(), free_port(), tmp_path / "flags.json"
    flags.strategy("immediate")
    with elsewhere(flags, port=port) as served, asking(served.http, cache):
        wait_until(cache.exists)
    with asking(f"http://127.0.0.1:{port}", cache, **other) as source:
        assert source.snapshot().origin == "default"


def test_a_restarted_server_follows_the_streams_though_its_flags_have_not_changed(tmp_path: Path) -> None:
    """The ETag on disk must not lead to a 304 that announces nothing."""
    flags, port, cache = Elsewhere(), free_port(), tmp_path / "flags.json"
    flags.strategy("immediate")
    flags.announce()
    with elsewhere(flags, port=port) as served:
        with asking(served.http, cache):
            wait_until(cache.exists)
            wait_until(lambda: flags.open_streams == 1)
        wait_until(lambda: flags.open_streams == 0)
        with asking(served.http, cache, poll_every_s=60):
            wait_until(lambda: flags.open_streams == 1)


# --- event streams ----------------------------------------------------------------------------------------------------


def test_an_event_brings_the_change_and_says_which_one_was_heard() -> None:
    flags = Elsewhere()
    flags.strategy("fixed_delay")
    flags.announce()
    with elsewhere(flags) as served, asking(served.http, poll_every_s=60) as source:
        wait_until(lambda: flags.open_streams == 1 and len(flags.asked) >= 2)
        flags.strategy("immediate")
        flags.refetch()
        wait_until(lambda: serves(source, "immediate"))
    assert flags.asked[-1]["query"] == {
        "flagConfigEtag": '"from-the-stream"',
        "flagConfigLastModified": "1771622898",
    }
    assert flags.streams[0] == f"Bearer {KEY}"


def test_many_events_at_once_are_one_request_and_unknown_ones_none() -> None:
    flags = Elsewhere()
    flags.strategy("fixed_delay")
    flags.announce()
    with elsewhere(flags) as served, asking(served.http, poll_every_s=60) as source:
        wait_until(lambda: flags.open_streams == 1 and len(flags.asked) == 2)
        flags.tell(type="somethingNew")
        flags.strategy("immediate")
        for _ in range(20):
            flags.refetch()
        wait_until(lambda: serves(source, "immediate"))
        assert len(flags.asked) <= 4


def test_a_change_made_while_the_stream_was_down_is_caught_up() -> None:
    """No event is replayed: asking again after every reconnect is what finds it."""
    flags = Elsewhere()
    flags.strategy("fixed_delay")
    flags.announce()
    with elsewhere(flags) as served, asking(served.http, poll_every_s=60) as source:
        wait_until(lambda: flags.open_streams == 1 and len(flags.asked) >= 2)
        flags.strategy("immediate")
        flags.drop_streams()
        wait_until(lambda: serves(source, "immediate"))


def test_a_refused_stream_leads_to_a_fresh_address() -> None:
    """A 304 would confirm the dead address for ever: a refusal is answered by an unconditional request."""
    flags = Elsewhere()
    flags.strategy("immediate")
    flags.announce({"type": "sse", "endpoint": {"requestUri": "/events?token=expired"}})
    flags.refuse_stream = 401
    with elsewhere(flags) as served, asking(served.http, poll_every_s=60):
        wait_until(lambda: len(flags.streams) >= 1 and len(flags.asked) >= 2)
        flags.refuse_stream = 0
        flags.announce({"type": "sse", "endpoint": {"requestUri": "/events?token=fresh"}})
        wait_until(lambda: flags.open_streams >= 1)
    assert flags.asked[1]["etag"] is None


def test_a_stream_elsewhere_is_sent_no_key() -> None:
    """The credential belongs to the server that was configured; another origin has its own in the address."""
    flags, streams = Elsewhere(), Elsewhere()
    flags.strategy("immediate")
    with elsewhere(streams) as theirs, elsewhere(flags) as served:
        flags.announce({"type": "sse", "url": f"{theirs.http}/events?token=t"})
        with asking(served.http, poll_every_s=60):
            wait_until(lambda: streams.open_streams == 1)
    assert streams.streams == [None]


def test_streams_that_are_no_longer_announced_are_left() -> None:
    flags = Elsewhere()
    flags.strategy("fixed_delay")
    flags.announce()
    with elsewhere(flags) as served, asking(served.http):
        wait_until(lambda: flags.open_streams == 1)
        flags.announced = None
        flags.strategy("immediate")
        wait_until(lambda: flags.open_streams == 0)


def test_a_flag_that_fails_there_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    flags = Elsewhere()
    flags.serve("client-ack", "on", {"on": True}, {"no_such_operator": [1]})
    caplog.set_level(logging.WARNING)
    with elsewhere(flags) as served, asking(served.http):
        wait_until(lambda: len(flags.asked) >= 4)
    told = [each.getMessage() for each in caplog.records if "client-ack" in each.getMessage()]
    assert len(told) == 1
    assert "the coded default is used" in told[0]
