"""The flag source against a real flag server, and against every way that one misbehaves."""

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from connections.gate import FlagSource, OfrepSource, ReadinessGate
from connections.gate.errors import InvalidSource
from tests.connections.gate.applications import next_json
from tests.support.asgi import serving
from tests.support.flag_server import KEY, FlagServer, flag_server, strategy
from tests.support.flag_sources import following, holds, waiting
from tests.support.servers import free_port
from tests.support.waiting import await_until, wait_until

NOWHERE = "http://127.0.0.1:9"


# --- learning ---------------------------------------------------------------------------------------------------------


async def test_a_change_reaches_the_next_connection() -> None:
    """Toggled on the flag server, served by the watched server, and said to the client by name and revision."""
    flags = FlagServer()
    with (
        flag_server(flags) as served,
        following(served.http) as source,
        serving(ReadinessGate(waiting(), flags=source)) as chat,
    ):
        await await_until(holds(source, 1))
        revision = flags.change(strategy("immediate"))
        await await_until(holds(source, revision))
        async with connect(chat.ws) as client:
            ready = await next_json(client)
            assert client.response is not None
            assert client.response.headers["Readiness-Strategy"] == "immediate"
            assert client.response.headers["Readiness-Revision"] == "2"
    assert (ready["strategy"], ready["flags_revision"]) == ("immediate", 2)


def definitions_asked(flags: FlagServer) -> list[tuple[str, str | None]]:
    return [one for one in flags.requests if one[0] == "/api/v1/definitions"]


def test_definitions_are_asked_for_conditionally() -> None:
    """Once fetched, they are not sent again while they have not changed."""
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: [path for path, _ in flags.requests].count("/api/v1/definitions") >= 2)
        wait_until(lambda: source.snapshot().etag == flags.etag)
    tags = [tag for path, tag in flags.requests if path == "/api/v1/definitions"]
    assert tags[0] is None
    assert set(tags[1:]) == {flags.etag}


def test_an_event_that_carries_the_definitions_spares_the_question() -> None:
    flags = FlagServer()
    flags.carries = True
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: flags.streams == 1 and len(definitions_asked(flags)) == 2)
        flags.change(strategy("immediate"))
        wait_until(holds(source, 2))
        assert source.snapshot().flags == flags.flags
        assert source.snapshot().etag == flags.etag
        assert len(definitions_asked(flags)) == 2


def test_an_event_that_was_overtaken_is_not_believed() -> None:
    """The stream tells of revision 1 when an answer has told of revision 3 already: the answer decides."""
    flags = FlagServer()
    flags.carries = True
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: flags.streams == 1 and len(definitions_asked(flags)) == 2)
        flags.told_late = 1
        flags.change(strategy("immediate"))
        wait_until(lambda: len(definitions_asked(flags)) == 3)
        wait_until(holds(source, 2))


def test_a_change_made_while_the_stream_was_down_is_caught_up() -> None:
    """Also where the server replays nothing: the source fetches again after every reconnect."""
    flags = FlagServer()
    flags.silent_stream = True
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: flags.streams == 1)
        flags.change(strategy("immediate"))
        flags.drop_streams()
        wait_until(holds(source, 2))


def test_a_stream_that_goes_silent_is_given_up_and_opened_again() -> None:
    """A peer that vanished without a word (no FIN) must not leave the flags frozen."""
    flags = FlagServer()
    flags.silent_stream = True
    with flag_server(flags) as served, following(served.http, quiet_after_s=0.1) as source:
        wait_until(lambda: flags.streams == 1)
        flags.change(strategy("immediate"))
        wait_until(holds(source, 2))


def test_a_flag_server_that_comes_back_elsewhere_in_time_is_found_again() -> None:
    flags, port = FlagServer(), free_port()
    with flag_server(flags, port=port) as served, following(served.http) as source:
        wait_until(holds(source, 1))
        served.stop()
        flags.change(strategy("immediate"))
        with flag_server(flags, port=port):
            wait_until(holds(source, 2))


# --- misbehaviour -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_an_error_status_keeps_what_was_held_is_logged_once_and_retried(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: flags.streams == 1 and len(flags.requests) >= 3)
        flags.change(strategy("immediate"))
        flags.status = status
        flags.drop_streams()
        asked = len(flags.requests)
        wait_until(lambda: len(flags.requests) > asked + 8)
        assert source.snapshot().revision == 1
        said = [each.getMessage() for each in caplog.records if each.name == "readywire.flags"]
        assert len([line for line in said if str(status) in line]) == 1
        flags.status = 200
        wait_until(holds(source, 2))


@pytest.mark.parametrize(
    "garbage",
    [
        "", "<html>gateway</html>", "[]", "null", "[" * 100_000, '{"revision": 2}', '{"revision": true, "flags": {}}',
        '{"revision": "2", "flags": {}}', '{"revision": 2, "flags": {"readiness-strategy": 5}}', '{"revision": -1}',
    ],
)  # fmt: skip
def test_garbage_keeps_what_was_held(garbage: str) -> None:
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(holds(source, 1))
        held = source.snapshot()
        flags.garbage = garbage
        flags.change(strategy("immediate"))
        asked = len(flags.requests)
        wait_until(lambda: len(flags.requests) > asked + 3)
        assert source.snapshot() is held
        flags.garbage = None
        wait_until(holds(source, 2))


def test_a_rejected_key_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http, key="rws_wrong") as source:
        wait_until(lambda: "manage.py server_key create" in caplog.text)
        assert source.snapshot().origin == "default"


@contextmanager
def black_hole() -> Iterator[str]:
    """A listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_hung_or_dead_flag_server_costs_a_connection_nothing() -> None:
    """The connection never waits for the source: not at its start, not for the first flags, not while it hangs."""
    with black_hole() as hung:
        for url in (hung, NOWHERE):
            source = FlagSource(url, KEY, "staging-chat-1", timeout_s=60)
            with serving(ReadinessGate(waiting(), flags=source)) as chat:
                async with connect(chat.ws) as client:
                    assert (await next_json(client))["strategy"] == "dependency_gate"
            source.stop()


# --- the last known good ----------------------------------------------------------------------------------------------


def remembered(flags: FlagServer, port: int, cache: Path) -> None:
    """Hold the server's flags once, then let both end."""
    with flag_server(flags, port=port) as served, following(served.http, cache) as source:
        wait_until(holds(source, flags.revision))
        wait_until(cache.exists)


async def test_the_last_known_good_survives_a_restart_while_the_flag_server_is_dead(tmp_path: Path) -> None:
    flags, port, cache = FlagServer(), free_port(), tmp_path / "new" / "flags.json"
    flags.change(strategy("immediate"))
    remembered(flags, port, cache)
    with (
        following(f"http://127.0.0.1:{port}", cache) as source,
        serving(ReadinessGate(waiting(), flags=source)) as chat,
    ):
        async with connect(chat.ws) as client:
            ready = await next_json(client)
    assert (ready["strategy"], ready["flags_revision"]) == ("immediate", 2)
    assert source.snapshot().origin == "disk"


def test_the_last_known_good_is_confirmed_by_a_304(tmp_path: Path) -> None:
    """A restarted server asks with the tag it saved, and reports the revision as held."""
    flags, port, cache = FlagServer(), free_port(), tmp_path / "flags.json"
    remembered(flags, port, cache)
    flags.requests.clear()
    flags.reports.clear()
    with flag_server(flags, port=port) as served, following(served.http, cache) as source:
        wait_until(lambda: source.snapshot().origin == "server")
        wait_until(lambda: flags.reports)
    assert flags.requests[0] == ("/api/v1/definitions", flags.etag)
    assert flags.reports[0]["held_revision"] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"source": "x"}', "\x00\xff" * 100])
def test_a_corrupted_file_is_ignored_with_a_word(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "flags.json"
    cache.write_bytes(content.encode("latin-1"))
    assert FlagSource(NOWHERE, KEY, "staging-chat-1", cache).snapshot().origin == "default"
    assert str(cache) in caplog.text


def test_another_environments_file_is_never_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file is bound to the flag server and the key it came from."""
    flags, port, cache = FlagServer(), free_port(), tmp_path / "flags.json"
    remembered(flags, port, cache)
    other = FlagSource(f"http://127.0.0.1:{port}", "rws_production", "production-chat-1", cache)
    assert other.snapshot().origin == "default"
    assert "another flag server or key" in caplog.text


def test_the_file_holds_no_key_and_leaves_no_scraps(tmp_path: Path) -> None:
    remembered(FlagServer(), free_port(), tmp_path / "flags.json")
    assert [each.name for each in tmp_path.iterdir()] == ["flags.json"]
    assert KEY not in (tmp_path / "flags.json").read_text()


def test_a_folder_that_cannot_be_written_is_said_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http, tmp_path / "file" / "flags.json") as source:
        wait_until(holds(source, 1))
        wait_until(lambda: "could not be saved" in caplog.text)


def test_logs_name_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(holds(source, 1))
        flags.status = 401
        flags.drop_streams()
        wait_until(lambda: "401" in caplog.text)
    assert KEY not in json.dumps([each.getMessage() for each in caplog.records])


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [FlagSource, OfrepSource])
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("", KEY, "chat-1"), "url"),
        (("readywire.example", KEY, "chat-1"), "url"),
        (("ws://readywire.example", KEY, "chat-1"), "url"),
        (("http://[broken", KEY, "chat-1"), "url"),
        ((NOWHERE, KEY + "\n", "chat-1"), "key"),
        ((NOWHERE, "two words", "chat-1"), "key"),
        ((NOWHERE, "schlüssel", "chat-1"), "key"),
        ((NOWHERE, KEY, ""), "instance"),
        ((NOWHERE, KEY, "a" * 201), "instance"),
        ((NOWHERE, KEY, "chat\n1"), "instance"),
    ],
)
def test_what_cannot_work_is_said_when_the_source_is_made(
    make: type[FlagSource] | type[OfrepSource], arguments: tuple[str, str, str], field: str
) -> None:
    """Not in a log line of a thread that nobody watches; and the key is never shown."""
    with pytest.raises(InvalidSource, match=f"^flag source, {field}: ") as told:
        make(*arguments)
    assert told.value.field == field
    assert KEY not in str(told.value)


def test_a_machine_whose_proxy_settings_are_broken_is_told_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread ends with a word, and connections get what was held."""
    monkeypatch.setenv("HTTP_PROXY", "nonsense://proxy")
    source = FlagSource("http://flags.invalid", KEY, "chat-1")
    source.start()
    wait_until(lambda: "no HTTP client can be made" in caplog.text)
    source.stop()
    assert source.snapshot().origin == "default"


@pytest.mark.parametrize("times", [{"timeout_s": 0.0}, {"quiet_after_s": -1.0}, {"retry_most_s": float("inf")}])
def test_a_time_that_cannot_be_is_named(times: dict[str, float]) -> None:
    with pytest.raises(InvalidSource, match=next(iter(times))):
        FlagSource(NOWHERE, KEY, "chat-1", None, **times)
