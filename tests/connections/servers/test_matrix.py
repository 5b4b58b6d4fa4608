"""docs/servers.md is true: what four servers put on the wire, and what the gate's record says of it."""

import asyncio
import struct
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.env import BASE_DIR
from tests.connections.servers import matrix
from tests.connections.servers.cases import CASES, STOPS, Case, Stop
from tests.connections.servers.matrix import APP, PAGE, Seen
from tests.support.asgi_servers import KINDS, Kind, Running, running
from tests.support.raw_websocket import BINARY, CLOSE, TEXT, RawWebSocket, frame

QUICK = [case for case in CASES if not case.slow]
each_server = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture(scope="module")
def seen() -> Mapping[str, Mapping[str, Seen]]:
    """What each server does, by its name and the path of the case."""
    with ThreadPoolExecutor(max_workers=len(KINDS)) as pool:
        found = pool.map(lambda kind: matrix.measure(kind, QUICK), KINDS)
        return {kind.name: each for kind, each in zip(KINDS, found, strict=True)}


@each_server
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.path)
def test_the_wire_result_is_the_documented_one_and_the_record_names_the_cause(
    seen: Mapping[str, Mapping[str, Seen]], case: Case, kind: Kind
) -> None:
    found = seen[kind.name][case.path]
    assert found.wire == case.expected(kind)
    assert found.records == (((case.cause, case.closed_by, case.error),) if case.recorded(kind) else ())


def test_the_page_says_what_is_tested() -> None:
    text = PAGE.read_text()
    assert matrix.page(text) == text
    assert text.count("<!-- end -->") == len({case.section for case in CASES}) + 1


@pytest.fixture(scope="module")
def stops() -> Mapping[tuple[str, str], tuple[str, str]]:
    pairs = [(kind, stop) for kind in KINDS for stop in STOPS]
    with ThreadPoolExecutor(max_workers=6) as pool:
        found = pool.map(lambda pair: matrix.stopped(*pair), pairs)
        return {(kind.name, stop.app): each for (kind, stop), each in zip(pairs, found, strict=True)}


@each_server
@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.app)
def test_what_a_connected_client_gets_when_its_server_is_stopped(
    stops: Mapping[tuple[str, str], tuple[str, str]], stop: Stop, kind: Kind
) -> None:
    """Without the hook, Granian ends its process whether or not the gate has written its record by then."""
    wire, told = stop.expected(kind)
    found = stops[kind.name, stop.app]
    assert found == (wire, found[1] if told == "nothing certain" else told)


async def _conversation(server: Running) -> None:
    acknowledged = frame(TEXT, b'{"type":"ready_ack","nonce":"a guess"}')
    said = (
        (frame(TEXT, b'he said "ready_ack"'), 'he said "ready_ack"'),
        (acknowledged + frame(TEXT, b"\0"), "\0"),
        (frame(TEXT, b"he", first=0x01) + frame(0, b"llo"), "hello"),
        (frame(BINARY, b"\0\1") + acknowledged, "2 bytes"),
        (frame(TEXT, b'{"type":"ready_ack","nonce":' + b"[" * 50_000), '{"type":"ready_ack","nonce":' + "[" * 50_000),
        (frame(TEXT, b'{"type":"ready_ack"'), '{"type":"ready_ack"'),
        (frame(TEXT, "häppi 🙂".encode()), "häppi 🙂"),
    )
    client = await RawWebSocket.open(server.port, "/gated/echo", early=b"".join(data for data, _ in said))
    answer = await client.read(until=said[-1][1])
    assert answer.texts[1:] == [text for _, text in said]
    client.leave()


async def _vanish(server: Running, path: str) -> None:
    client = await RawWebSocket.open(server.port, path)
    assert await client.answers_ping()
    client.leave(reset=True)


@each_server
def test_odd_but_legal_frames_reach_the_application_in_order_and_acknowledgements_never(kind: Kind) -> None:
    with running(kind, APP, BASE_DIR) as server:
        asyncio.run(_conversation(server))
        asyncio.run(_vanish(server, "/gated/never_ready"))
        asyncio.run(_vanish(server, "/gated/echo"))
        causes = {(record["path"], record["cause"]) for record in server.ended(3)}
    assert causes == {
        ("/gated/echo", "client_closed"), ("/gated/never_ready", "client_gone"),
    }  # fmt: skip


@each_server
def test_the_code_a_client_closes_with_is_recorded(kind: Kind) -> None:
    """Hypercorn tells applications 1006 whatever the client said."""
    with running(kind, APP, BASE_DIR) as server:
        asyncio.run(_close(server))
        (record,) = server.ended()
    assert record["close_code"] == (1006 if kind.name == "hypercorn" else 4321)


async def _close(server: Running) -> None:
    client = await RawWebSocket.open(server.port, "/gated/echo", early=frame(CLOSE, struct.pack("!H", 4321)))
    await client.read()
