"""What four servers put on the wire, with the gate and without, as tables: of the tests, and of docs/servers.md."""

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from connections.gate.lifecycle import Cause
from tests.connections.servers.behaviours import MAX_HELD
from tests.support.asgi_servers import Kind
from tests.support.raw_websocket import BINARY, CLOSE, PING, TEXT, frame

OPEN, SILENT, NO_HTTP = "stays open", "no answer", "not HTTP"
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
    offers: tuple[str, ...] = ()
    """Subprotocols; servers themselves refuse some of them."""
    slow: bool = False
    answered: str = ""
    """What the application says to it, once it is ready."""
    nudged: bool = False
    """A ping goes out behind it: the server looks again only when more comes."""

    def expected(self, kind: Kind) -> str:
        """The table's word; Daphne has 4011 for 1011, because its protocol library refuses to send reserved codes."""
        wire = self.wire if isinstance(self.wire, str) else self.wire[kind.name]
        gates_own = self.closed_by == "gate" and kind.name == "daphne" and wire in {"1011", "1012", "1013"}
        return f"4{wire[1:]}" if gates_own else wire

    def recorded(self, kind: Kind) -> bool:
        """Whether the gate heard of it."""
        return self.cause is not None and (not self.offers or self.expected(kind).isdigit())


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
_STRATEGIES: tuple[tuple[str, str, Wire, bytes, Cause, str], ...] = (
    ("`ready_ack` with `legacy: close`, never acknowledges", "ack_or_close", "4408", HELLO, Cause.NOT_READY, "gate"),
    ("`ready_ack` with `legacy: close`, acknowledges with a wrong nonce", "ack_or_close", "4408",
     frame(TEXT, b'{"type":"ready_ack","nonce":"a guess"}'), Cause.NOT_READY, "gate"),
    ("`ready_ack` with `legacy: open`, never acknowledges", "ack_or_open", OPEN, HELLO, Cause.CLIENT_CLOSED, "client"),
    ("`client_init`, says nothing", "init", "4408", b"", Cause.NOT_READY, "gate"),
)  # fmt: skip
_LATE = _refused(503, daphne=403)
_BROKE = _refused(500, daphne=403)
_DEFERRED: tuple[tuple[str, str, Wire, Cause, str, str], ...] = (
    ("is ready, and stays", "echo", OPEN, Cause.CLIENT_CLOSED, "client", ""),
    ("raises after accept", "raises_after_accept", _BROKE, Cause.APPLICATION_ERROR, "gate", "Bug"),
    ("raises during setup", "raises_during_setup", _BROKE, Cause.APPLICATION_ERROR, "gate", "Bug"),
    ("returns after accept", "returns_after_accept", _BROKE, Cause.APPLICATION_RETURNED, "gate", ""),
    ("accepts twice", "accepts_twice", _BROKE, Cause.APPLICATION_ERROR, "gate", "IllegalTransition"),
    ("closes, then sends", "sends_after_its_own_close", "4400", Cause.SELF_CLOSED, "application", ""),
    ("says service_failed() of a required service", "fails_a_required_service", _LATE, Cause.NOT_READY, "gate", ""),
    ("never marks some of its services", "reports_half_of_its_services", _LATE, Cause.NOT_READY, "gate", ""),
    ("never accepts", "never_accepts", _LATE, Cause.NEVER_ACCEPTED, "gate", ""),
)  # fmt: skip
_MALFORMED_OFFER = by_server("HTTP 400", "4401", "4401", "4401")
_TOKENS: tuple[tuple[str, Wire, tuple[str, ...]], ...] = (
    ("no token", "4401", ("chat",)),
    ("an empty one", "4401", ("chat", "bearer.")),
    ("one that nobody has", "4401", ("chat", "bearer.nobodys")),
    ("the right one in capitals", "4401", ("chat", "bearer.CHANGE-ME")),
    ("the right one under another scheme", "4401", ("chat", "basic.change-me")),
    ("a wrong one before the right one", "4401", ("chat", "bearer.nobodys", "bearer.change-me")),
    ("500 wrong ones", "4401", ("chat", *(f"bearer.{number}" for number in range(500)))),
    ("one of 4,000 characters", "4401", ("chat", f"bearer.{'x' * 4000}")),
    ("one in quotes", _MALFORMED_OFFER, ("chat", '"bearer.change-me"')),
    ("one with a space", _MALFORMED_OFFER, ("chat", "bearer.change me")),
    ("one with a parameter", _MALFORMED_OFFER, ("chat", "bearer.change-me;q=1")),
    ("one that is not ASCII", by_server("HTTP 400", NO_HTTP, "HTTP 500", "4401"), ("chat", "bearer.\xff\xfe")),
    ("one with a zero byte", "HTTP 400", ("chat", "bearer.\0")),
    ("one of 70,000 characters", by_server(SILENT, "HTTP 431", NO_HTTP, "4401"), ("chat", f"bearer.{'x' * 70_000}")),
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
    for name, side, wire, sends, cause, closed_by in _STRATEGIES:
        path, answered = f"/{side}/echo/{_slug(name)}", "hello" if wire == OPEN else ""
        yield Case("strategies", name, path, wire, cause, closed_by, sends=sends, answered=answered)
    for name, behaviour, wire, cause, closed_by, error in _DEFERRED:
        sends, answered = (HELLO, "hello") if wire == OPEN else (b"", "")
        path = f"/deferred/{behaviour}"
        yield Case("deferred", name, path, wire, cause, closed_by, error, sends=sends, answered=answered)
    for name, wire, offers in _TOKENS:
        path, slow = f"/gated/authenticates/{_slug(name)}", "70,000" in name
        yield Case("tokens", name, path, wire, Cause.SELF_CLOSED, "application", offers=offers, slow=slow)


def _hello(path: str) -> bytes:
    """A server that closes over what it has not read resets the connection, and the close frame may be lost with it:
    so only those get a message that wait for one."""
    return HELLO if path.endswith("first_message") else b""


def _at(behaviour: str, name: str) -> str:
    return f"/gated/{behaviour}/{_slug(name)}"


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "/", name.lower()).strip("/")


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
