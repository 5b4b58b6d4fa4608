"""What four servers put on the wire, with the gate and without: the tables of the tests and of docs/servers.md.

`python -m tests.connections.servers.matrix` runs every case on every server, says where they differ from the tables,
and writes the tables into the page; the tests run the cases again.
"""

import asyncio
import re
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connections.gate.lifecycle import Cause
from dashboard.env import BASE_DIR
from tests.connections.servers.behaviours import MAX_HELD
from tests.support.asgi_servers import KINDS, Kind, Running, running
from tests.support.raw_websocket import BINARY, CLOSE, PING, TEXT, RawWebSocket, frame

PAGE = BASE_DIR / "docs" / "servers.md"
APP = "tests.connections.servers.behaviours:app"
OPEN, SILENT, NO_HTTP = "stays open", "no answer", "not HTTP"
SLOW_S = 8.0
"""How long a case is watched in which nothing may ever come."""

Wire = str | Mapping[str, str]
"""`HTTP 403`, a close code, `OPEN`, `SILENT` or `NO_HTTP`; the same on all servers, or by their names."""
HELLO = frame(TEXT, b"hello")


@dataclass(frozen=True, slots=True)
class Case:
    """`path` is what happens; `sends` goes out in the instant in which the 101 has come."""

    section: str
    name: str
    path: str
    wire: Wire
    cause: Cause | None = None
    closed_by: str = ""
    error: str = ""
    sends: bytes = b""
    slow: bool = False
    nudged: bool = False
    """A ping goes out behind it: the server looks again only when more comes."""

    def expected(self, kind: Kind) -> str:
        """The table's word; Daphne has 4011 for 1011, because its protocol library refuses to send reserved codes."""
        wire = self.wire if isinstance(self.wire, str) else self.wire[kind.name]
        gates_own = self.closed_by == "gate" and kind.name == "daphne" and wire in {"1011", "1012", "1013"}
        return f"4{wire[1:]}" if gates_own else wire


def by_server(uvicorn: str, hypercorn: str, daphne: str, granian: str) -> Wire:
    return {"uvicorn": uvicorn, "hypercorn": hypercorn, "daphne": daphne, "granian": granian}


def _refused(status: int, *, granian: int | None = None, daphne: int | None = None) -> Wire:
    words = [f"HTTP {code or status}" for code in (None, None, daphne, granian)]
    return by_server(*words)


_RAISED = by_server("1006", "1011", "1011", "1005")
_RETURNED = by_server("1006", "1011", OPEN, "1005")
_BARE = (
    ("closes before accept", "closes_before_accept", "HTTP 403"),
    ("answers with a denial response, 503", "denies_with_503", _refused(503, daphne=403)),
    ("raises before accept", "raises_before_accept", _refused(500, granian=403)),
    ("raises after accept", "raises_after_accept", _RAISED),
    ("raises at the first message", "raises_at_the_first_message", _RAISED),
    ("returns before accept", "returns_before_accept", by_server("HTTP 500", "HTTP 500", NO_HTTP, "HTTP 403")),
    ("returns after accept", "returns_after_accept", _RETURNED),
    ("accepts twice", "accepts_twice", _RAISED),
    ("sends before accept", "sends_before_accept", _refused(500, granian=403)),
    ("sends a message of unknown type", "sends_an_unknown_type", _RETURNED),
    ("closes, then sends", "sends_after_its_own_close", "4400"),
)
_GATED: tuple[tuple[str, str, Wire, Cause, str, str], ...] = (
    ("closes before accept", "closes_before_accept", "HTTP 403", Cause.NEVER_ACCEPTED, "application", ""),
    ("answers with a denial response, 503", "denies_with_503", _refused(503, daphne=403),
     Cause.NEVER_ACCEPTED, "application", ""),
    ("raises before the connect", "raises_at_once", _refused(500, granian=403), Cause.NEVER_ACCEPTED, "", "Bug"),
    ("raises before accept", "raises_before_accept", _refused(500, granian=403), Cause.NEVER_ACCEPTED, "", "Bug"),
    ("raises after accept", "raises_after_accept", "1011", Cause.APPLICATION_ERROR, "gate", "Bug"),
    ("raises during setup", "raises_during_setup", "1011", Cause.APPLICATION_ERROR, "gate", "Bug"),
    ("raises at the first message", "raises_at_the_first_message", "1011", Cause.APPLICATION_ERROR, "gate", "Bug"),
    ("raises after its own close", "raises_after_its_own_close", "4400", Cause.SELF_CLOSED, "application", "Bug"),
    ("returns before accept", "returns_before_accept", _refused(500, daphne=403), Cause.NEVER_ACCEPTED, "gate", ""),
    ("returns after accept", "returns_after_accept", "1011", Cause.APPLICATION_RETURNED, "gate", ""),
    ("returns at the first message", "returns_at_the_first_message", "1011", Cause.APPLICATION_RETURNED, "gate", ""),
    ("accepts twice", "accepts_twice", "1011", Cause.APPLICATION_ERROR, "gate", "IllegalTransition"),
    ("never accepts", "never_accepts", _refused(503, daphne=403), Cause.NEVER_ACCEPTED, "gate", ""),
    ("closes, then sends", "sends_after_its_own_close", "4400", Cause.SELF_CLOSED, "application", ""),
    ("closes twice", "closes_twice", "4400", Cause.SELF_CLOSED, "application", ""),
    ("never says authenticated()", "never_authenticates", "4408", Cause.NOT_READY, "gate", ""),
    ("says service_failed() of a required service", "fails_a_required_service", "1013", Cause.NOT_READY, "gate", ""),
    ("never marks some of its services", "reports_half_of_its_services", "1013", Cause.NOT_READY, "gate", ""),
)  # fmt: skip

_BROKEN = by_server("1002", "1006", "1006", "1005")
_BAD_TEXT = by_server("1007", "1006", "1006", "1005")
_BAD_CODE = by_server("1002", "1006", "1006", "1002")
_LONGEST = b"\0\0\0\0" + b"the rest never comes"
_MALFORMED: tuple[tuple[str, Wire, bytes], ...] = (
    ("a frame that is not masked", _BROKEN, frame(TEXT, b"hi", masked=False)),
    ("a reserved bit", _BROKEN, frame(TEXT, b"hi", first=0xC1)),
    ("a reserved opcode", _BROKEN, frame(3, b"hi")),
    ("a reserved control opcode", _BROKEN, frame(11, b"hi")),
    ("text that is not UTF-8", _BAD_TEXT, frame(TEXT, b"\xff\xfe")),
    ("a continuation of nothing", _BROKEN, frame(0, b"hi")),
    ("a new message inside another", _BROKEN, frame(TEXT, b"he", first=0x01) + frame(TEXT, b"llo")),
    ("a fragmented ping", _BROKEN, frame(PING, b"hi", first=0x09)),
    ("a ping of 126 bytes", _BROKEN, frame(PING, b"x" * 126)),
    ("a frame of 2^62 bytes", by_server("1009", "1006", "1006", "1005"),
     bytes([0x81, 0xFF]) + struct.pack("!Q", 2**62) + _LONGEST),
    ("an HTTP request", _BROKEN, b"GET / HTTP/1.1\r\n\r\n"),
    ("a close frame of one byte", _BROKEN, frame(CLOSE, b"\x03")),
    ("a close frame with code 999", _BAD_CODE, frame(CLOSE, struct.pack("!H", 999))),
    ("a close frame with code 1005", _BAD_CODE, frame(CLOSE, struct.pack("!H", 1005))),
    ("a close reason that is not UTF-8", _BAD_TEXT, frame(CLOSE, struct.pack("!H", 1000) + b"\xff")),
)  # fmt: skip
_MANY = f"{MAX_HELD + 1} messages where {MAX_HELD} may be held"
_DURING_SETUP: tuple[tuple[str, Wire, bytes, Cause, str], ...] = (
    (_MANY, "1013", frame(TEXT, b"x") * (MAX_HELD + 1), Cause.OVERFLOW, "gate"),
    ("5,000 messages", "1013", frame(TEXT, b"x") * 5000, Cause.OVERFLOW, "gate"),
    ("20 messages of 70 kB, more than 1 MiB", "1013", frame(TEXT, b"x" * 70_000) * 20, Cause.OVERFLOW, "gate"),
    (f"{MAX_HELD} messages, and stays", OPEN, frame(TEXT, b"x") * MAX_HELD, Cause.CLIENT_GONE, "client"),
    ("a ready_ack that nobody asked for, and stays", OPEN, frame(TEXT, b'{"type":"ready_ack","nonce":"a guess"}'),
     Cause.CLIENT_GONE, "client"),
    ("close 1000", "1000", frame(CLOSE, struct.pack("!H", 1000)), Cause.CLIENT_GONE, "client"),
)  # fmt: skip
_WHEN_OPEN: tuple[tuple[str, bytes], ...] = (
    ("never acknowledges connection_ready", HELLO),
    ("acknowledges with a wrong nonce", frame(TEXT, b'{"type":"ready_ack","nonce":"a guess"}')),
    ("acknowledges without a nonce", frame(TEXT, b'{"type":"ready_ack"}')),
    ("acknowledges with a number", frame(TEXT, b'{"type":"ready_ack","nonce":7}')),
    ("acknowledges 200 times", frame(TEXT, b'{"type":"ready_ack","nonce":"a guess"}') * 200),
    ("sends JSON of 200,000 brackets", frame(TEXT, b'{"type":"ready_ack","nonce":' + b"[" * 200_000)),
    ("sends bytes", frame(BINARY, b"\0\1")),
)


def _cases() -> Iterable[Case]:
    for name, path, wire in _BARE:
        yield Case("without", name, f"/bare/{path}", wire, sends=_hello(path))
    never = by_server(SILENT, SILENT, NO_HTTP, SILENT)
    yield Case("without", "never accepts", "/bare/never_accepts", never, slow=True)
    for name, path, wire, cause, closed_by, error in _GATED:
        yield Case("application", name, f"/gated/{path}", wire, cause, closed_by, error, sends=_hello(path))
    for name, wire, sends in _MALFORMED:
        at, huge = _at("never_ready", name), "2^62" in name
        yield Case("malformed", name, at, wire, Cause.CLIENT_GONE, "client", sends=sends, nudged=huge)
    for name, wire, sends, cause, closed_by in _DURING_SETUP:
        yield Case("setup", name, _at("never_ready", name), wire, cause, closed_by, sends=sends)
    for name, sends in _WHEN_OPEN:
        yield Case("open", name, _at("echo", name), OPEN, Cause.CLIENT_CLOSED, "client", sends=sends)


def _hello(path: str) -> bytes:
    """A server that closes over what it has not read resets the connection, and the close frame may be lost with it:
    so only those get a message that wait for one."""
    return HELLO if path.endswith("first_message") else b""


def _at(behaviour: str, name: str) -> str:
    return f"/gated/{behaviour}/{re.sub('[^a-z0-9]+', '-', name.lower())}"


CASES = tuple(_cases())


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGTERM while one client is connected and quiet; `told`, by server, is what the gate's record says."""

    name: str
    app: str
    wire: Wire
    told: Wire = "nothing"

    def expected(self, kind: Kind) -> tuple[str, str]:
        wire = self.wire if isinstance(self.wire, str) else self.wire[kind.name]
        return wire, self.told if isinstance(self.told, str) else self.told[kind.name]


_BY_GATE = f"{Cause.DRAINED}, by the gate"
STOPS = (
    Stop("no gate", "ungated", by_server("1012", "1011", "1006", "1006")),
    Stop(
        "a gate",
        "unhooked",
        by_server("1012", "1012", "1006", "1006"),
        by_server(f"{Cause.DRAINED}, by the server", f"{Cause.CANCELLED}, by the gate", "nothing", "nothing certain"),
    ),
    Stop("drain_on_sigterm(gate)", "hooked", by_server("1012", "1012", "4012", "1012"), _BY_GATE),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server did in one case; `records` are (cause, closed_by, error) of the gate's."""

    wire: str
    records: tuple[tuple[str, str, str], ...] = ()


async def wire_of(case: Case, kind: Kind, port: int) -> str:
    """Run one case against a server that listens."""
    try:
        async with asyncio.timeout(SLOW_S if case.slow else 30):
            client = await RawWebSocket.open(port, case.path, early=case.sends)
    except TimeoutError:
        return SILENT
    answer = client.answer
    try:
        if answer.status != 101:
            return f"HTTP {answer.status}" if answer.status else NO_HTTP
        expected_open = case.expected(kind) == OPEN
        if (expected_open or case.nudged) and await client.answers_ping() and expected_open:
            return OPEN
        await client.read()
    except TimeoutError:
        return OPEN
    finally:
        client.leave()
    return str(answer.code)


async def _all(cases: Iterable[Case], server: Running) -> list[str]:
    few = asyncio.Semaphore(16)

    async def one(case: Case) -> str:
        async with few:
            return await wire_of(case, server.kind, server.port)

    return await asyncio.gather(*(one(case) for case in cases))


def measure(kind: Kind, cases: Iterable[Case] = CASES) -> dict[str, Seen]:
    """Run `cases` on one server; what it did, by path."""
    cases = tuple(cases)
    with running(kind, APP, BASE_DIR) as server:
        wires = asyncio.run(_all(cases, server))
        server.ended(sum(case.cause is not None for case in cases))
        records: dict[str, list[tuple[str, str, str]]] = {}
        for record in server.records():
            told = (record["cause"], record["closed_by"], record["error"])
            records.setdefault(record["path"], []).append(told)
    return {case.path: Seen(wire, tuple(records.get(case.path, ()))) for case, wire in zip(cases, wires, strict=True)}


def stopped(kind: Kind, stop: Stop) -> tuple[str, str]:
    """Send SIGTERM while a client is connected; what it got, and what the record says."""
    with running(kind, f"tests.connections.servers.behaviours:{stop.app}", BASE_DIR) as server:
        wire = asyncio.run(_stopped(server))
        server.wait()
        told = [f"{record['cause']}, by the {record['closed_by']}" for record in server.records()]
    return wire, " and ".join(told) or "nothing"


async def _stopped(server: Running) -> str:
    client = await RawWebSocket.open(server.port, "/", early=HELLO)
    await client.read(until="hello")
    server.terminate()
    return str((await client.read()).code)


# --- the page ---------------------------------------------------------------------------------------------------------


def table(section: str) -> str:
    """The Markdown table of one section, as the tests expect the servers to be."""
    if section == "stop":
        return _markdown([["behind", *(kind.name for kind in KINDS)], *(_stop_row(stop) for stop in STOPS)])
    cases = [case for case in CASES if case.section == section]
    recorded = any(case.cause for case in cases)
    heads = ["case", *(kind.name for kind in KINDS), *(["the record says"] if recorded else [])]
    rows = [heads]
    for case in cases:
        told = f"`{case.cause}`" + (f", by the {case.closed_by}" if case.closed_by else "")
        error = f", {case.error}" if case.error else ""
        rows.append([case.name, *(case.expected(kind) for kind in KINDS), *([told + error] if recorded else [])])
    return _markdown(rows)


def _stop_row(stop: Stop) -> list[str]:
    found = [stop.expected(kind) for kind in KINDS]
    return [stop.name, *(wire if stop.told == "nothing" else f"{wire}; {told}" for wire, told in found)]


def _markdown(rows: list[list[str]]) -> str:
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(text: str) -> str:
    """`text` with every table between its marks made anew."""

    def fresh(found: re.Match[str]) -> str:
        return f"{found[1]}\n{table(found[2])}\n{found[3]}"

    return re.sub(r"(<!-- (\w+) -->)\n.*?(<!-- end -->)", fresh, text, flags=re.DOTALL)


def main() -> int:
    differ = 0
    for kind in KINDS:
        seen = measure(kind)
        for case in CASES:
            if seen[case.path].wire != case.expected(kind):
                differ += 1
                sys.stdout.write(f"{kind.name} {case.path}: {seen[case.path].wire}, not {case.expected(kind)}\n")
        for stop in STOPS:
            sys.stdout.write(f"{kind.name} {stop.name}: {stopped(kind, stop)}, expected {stop.expected(kind)}\n")
    PAGE.write_text(page(PAGE.read_text()))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
