"""Every hostile server, and what a probe must say of it: the table of the tests and of docs/hostile-servers.md.

`python -m tests.support.hostile_servers` runs them all and writes the page; the tests run them again and compare.
"""

import asyncio
import re
import ssl
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dashboard.env import BASE_DIR
from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, TargetSpec
from tests.support import stages
from tests.support.certificates import Authority, authority
from tests.support.hostile import Behaviour, Peer, black_hole, hostile, openssl_server, text_frame
from tests.support.servers import free_port

K = FailureKind
PAGE = BASE_DIR / "docs" / "hostile-servers.md"
SHORT_S, LONG_S = 0.6, 60.0
"""Deadlines of probes that end with them, and of those that must not need them."""
Serve = Callable[[Authority], AbstractAsyncContextManager[str]]


@dataclass(frozen=True)
class Case:
    """One server, and the verdict on it; `kind` None: the probe succeeds."""

    section: str
    name: str
    serve: Serve
    kind: FailureKind | None
    phase: str
    deadline_s: float = LONG_S
    script: Script = field(default_factory=Script)
    trusted: bool = True
    """Whether the target trusts the authority of our certificates."""


async def outcome_of(case: Case, trusted: Authority, prober: Prober) -> Outcome:
    """What one probe found there."""
    async with case.serve(trusted) as url:
        spec = TargetSpec(1, "target", url, case.deadline_s, case.script)
        return await prober.probe(replace(spec, ca_pem=trusted.pem if case.trusted else ""))


def sentence_of(outcome: Outcome) -> str:
    """The sentence, without what differs from run to run: ports, dates and waits."""
    said = outcome.detail or f"Nothing: the run was complete. The close code is recorded: {outcome.close_code}."
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said)
    said = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", said)
    return re.sub(r"our close 1000 within \d+\.\d\d s", "our close 1000 within N s", said)


# Where they stand. ---------------------------------------------------------------------------------------------------


def plain(behaviour: Behaviour) -> Serve:
    """Over TCP."""
    return lambda _authority: hostile(behaviour)


def under_tls(behaviour: Behaviour, **options: Any) -> Serve:
    """Over TLS, with the certificate that the options describe."""
    return lambda trusted: hostile(behaviour, trusted.server_context(**options))


def cut_in_tls(trusted: Authority) -> AbstractAsyncContextManager[str]:
    """Resets where it should finish the TLS handshake."""

    async def cut(peer: Peer) -> None:
        await peer.reader.read(4096)
        peer.reset()

    return _as_wss(hostile(cut))


def silent_in_tls(trusted: Authority) -> AbstractAsyncContextManager[str]:
    """Accepts, and never answers the TLS handshake."""
    return _as_wss(hostile(Peer.silence))


@asynccontextmanager
async def _as_wss(server: AbstractAsyncContextManager[str]) -> AsyncIterator[str]:
    async with server as url:
        yield url.replace("ws://127.0.0.1", "wss://localhost")


@asynccontextmanager
async def nobody(_trusted: Authority) -> AsyncIterator[str]:
    """A closed port."""
    yield f"ws://127.0.0.1:{free_port()}/ws/chat"


@asynccontextmanager
async def no_answer(_trusted: Authority) -> AsyncIterator[str]:
    """A kernel that drops every SYN."""
    with black_hole() as port:
        yield f"ws://127.0.0.1:{port}/ws/chat"


@asynccontextmanager
async def too_old(trusted: Authority) -> AsyncIterator[str]:
    """TLS 1.1 at most."""
    with openssl_server(trusted.server_context(newest=ssl.TLSVersion.TLSv1_1)) as url:
        yield url


# What they do. -------------------------------------------------------------------------------------------------------


def reset_at(steps: stages.Steps) -> Behaviour:
    """RST at a stage."""

    async def behave(peer: Peer) -> None:
        await steps(peer)
        peer.reset()

    return behave


def silent_at(steps: stages.Steps) -> Behaviour:
    return stages.then(steps, lambda _peer: None)


def closing_at(steps: stages.Steps, code: int) -> Behaviour:
    """A close frame at a stage; 1006: the connection is cut without one (RFC 6455 section 7.1.5)."""
    if code == 1006:
        return reset_at(steps)
    return stages.then(steps, lambda peer: peer.close_frame(code, "because"))


def sending_at(steps: stages.Steps, data: bytes) -> Behaviour:
    """Bytes at a stage."""

    async def send(peer: Peer) -> None:
        with suppress(ConnectionError):
            await peer.send(data)

    return stages.then(steps, send)


def flooding_at(steps: Callable[[Peer], Awaitable[object]], chunk: bytes, start: bytes = b"") -> Behaviour:
    """The same bytes again and again, as fast as they go."""

    async def behave(peer: Peer) -> None:
        await steps(peer)
        await peer.send(start)
        with suppress(ConnectionError):
            while True:
                await peer.send(chunk)

    return behave


def answering(status: str, header: str = "") -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.answer(status, body="sorry", headers=f"{header}\r\n" if header else "")
        await peer.silence()

    return behave


def upgrading(**options: str) -> Behaviour:
    async def behave(peer: Peer) -> None:
        await peer.upgrade(**options)
        await peer.silence()

    return behave


def telling(numbers: list[int], late: float = 0.0) -> Behaviour:
    """Events of these numbers; the last one `late` seconds after the others."""

    async def behave(peer: Peer) -> None:
        run_id = await stages.after_ready(peer)
        await stages.send_events(peer, run_id, numbers[:-1])
        await asyncio.sleep(late)  # not synchronisation: this is the lateness
        await stages.send_events(peer, run_id, numbers[-1:])
        await peer.answer_close()

    return behave


async def dribbling(peer: Peer) -> None:
    """A header that never ends, a byte at a time."""
    await peer.request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nX-Slow: ")
    with suppress(ConnectionError):
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.01)


async def bomb(peer: Peer) -> None:
    """64 MiB of zeros in 64 KiB (RFC 7692)."""
    await peer.upgrade(headers="Sec-WebSocket-Extensions: permessage-deflate\r\n")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(64 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
    with suppress(ConnectionError):
        await peer.send(b"\xc1\x7f" + len(packed).to_bytes(8, "big") + packed)
    await peer.silence()


# The table. ----------------------------------------------------------------------------------------------------------

STAGES: Mapping[str, tuple[stages.Steps, str]] = {
    "before it said that it was ready": (stages.after_101, "claimed"),
    "before it answered our message": (stages.after_ready, "ready"),
    "between events": (stages.between_events, "events"),
    "after the last event": (stages.after_the_run, ""),
}
CODES = (1000, 1001, 1006, 1008, 1011, 1012, 1013, 4000, 4401, 4403, 4408, 4429)
REFUSALS = (1008, 4401, 4403)
STATUSES = {
    "200 OK": K.UPGRADE_REJECTED,
    "301 Moved Permanently": K.UPGRADE_REJECTED,
    "401 Unauthorized": K.UNAUTHORIZED,
    "403 Forbidden": K.UNAUTHORIZED,
    "404 Not Found": K.UPGRADE_REJECTED,
    "429 Too Many Requests": K.UPGRADE_REJECTED,
    "502 Bad Gateway": K.UPGRADE_REJECTED,
    "503 Service Unavailable": K.UPGRADE_REJECTED,
}
HEADERS = {"301": "Location: wss://elsewhere.example/", "401": "WWW-Authenticate: Bearer", "429": "Retry-After: 30"}
LISTENING = Script(claimed="upgrade")


def _closes() -> list[Case]:
    cases = []
    for stage, (steps, phase) in STAGES.items():
        for code in CODES:
            early = K.UNAUTHORIZED if code in REFUSALS else K.CLOSED_BEFORE_READY
            kind = None if not phase else K.CLOSED_EARLY if phase == "events" else early
            name = "1006: no close frame" if code == 1006 else str(code)
            cases.append(Case(f"A close {stage}", name, plain(closing_at(steps, code)), kind, phase))
    return cases


CASES: tuple[Case, ...] = (
    Case("The network", "refuses", nobody, K.CONNECT_REFUSED, "tcp"),
    Case("The network", "black hole: every SYN is dropped", no_answer, K.CONNECT_TIMEOUT, "tcp", SHORT_S),
    *(
        Case("A reset", name, serve, kind, phase)
        for name, serve, kind, phase in (
            ("after TCP", plain(reset_at(stages.after_tcp)), K.CONNECTION_RESET, "upgrade"),
            ("inside the TLS handshake", cut_in_tls, K.CONNECTION_RESET, "tls"),
            ("after TLS", under_tls(reset_at(stages.after_tcp)), K.CONNECTION_RESET, "upgrade"),
            ("after the request", plain(reset_at(stages.after_request)), K.CONNECTION_RESET, "upgrade"),
            ("inside the answer's headers", plain(reset_at(stages.inside_headers)), K.CONNECTION_RESET, "upgrade"),
            ("after the 101", plain(reset_at(stages.after_101)), K.CLOSED_BEFORE_READY, "claimed"),
            ("inside a frame", plain(reset_at(stages.inside_frame)), K.CLOSED_BEFORE_READY, "claimed"),
            ("after it said that it was ready", plain(reset_at(stages.after_ready)), K.CLOSED_BEFORE_READY, "ready"),
            ("between events", plain(reset_at(stages.between_events)), K.CLOSED_EARLY, "events"),
        )
    ),
    Case("TLS", "expired certificate", under_tls(Peer.silence, expired=True), K.CERTIFICATE_EXPIRED, "tls"),
    Case("TLS", "certificate of tomorrow", under_tls(Peer.silence, early=True), K.CERTIFICATE_EXPIRED, "tls"),
    Case(
        "TLS", "certificate for another name", under_tls(Peer.silence, name="elsewhere.example"),
        K.CERTIFICATE_NAME_MISMATCH, "tls",
    ),
    Case("TLS", "unknown authority", under_tls(Peer.silence), K.TLS_FAILED, "tls", trusted=False),
    Case("TLS", "nothing newer than TLS 1.1", too_old, K.TLS_FAILED, "tls"),
    *(
        Case("HTTP instead of 101", status, plain(answering(status, HEADERS.get(status[:3], ""))), kind, "upgrade")
        for status, kind in STATUSES.items()
    ),
    Case(
        "The handshake", "wrong accept key", plain(upgrading(key="c29tZWJvZHkgZWxzZSdzIQ==")),
        K.HANDSHAKE_INVALID, "upgrade",
    ),
    Case(
        "The handshake", "a subprotocol other than those offered",
        plain(upgrading(headers="Sec-WebSocket-Protocol: mqtt\r\n")), K.SUBPROTOCOL_MISMATCH, "upgrade",
    ),
    Case(
        "The handshake", "a subprotocol where none was offered",
        plain(upgrading(headers="Sec-WebSocket-Protocol: mqtt\r\n")), K.SUBPROTOCOL_MISMATCH, "upgrade",
        script=Script(subprotocols=()),
    ),
    *(
        Case("Silence", name, serve, kind, phase, SHORT_S)
        for name, serve, kind, phase in (
            ("after TCP", plain(silent_at(stages.after_tcp)), K.UPGRADE_TIMEOUT, "upgrade"),
            ("inside the TLS handshake", silent_in_tls, K.TLS_TIMEOUT, "tls"),
            ("after TLS", under_tls(silent_at(stages.after_tcp)), K.UPGRADE_TIMEOUT, "upgrade"),
            ("after the 101", plain(silent_at(stages.after_101)), K.NOT_READY, "claimed"),
            ("inside a frame", plain(silent_at(stages.inside_frame)), K.NOT_READY, "claimed"),
            ("after it said that it was ready", plain(silent_at(stages.after_ready)), K.FALSE_READY, "ready"),
            ("between events", plain(silent_at(stages.between_events)), K.EVENT_NEVER_EMITTED, "events"),
            ("after our close: it never completes", plain(silent_at(stages.after_the_run)), K.PROTOCOL_ERROR, "close"),
        )
    ),
    *_closes(),
    *(
        Case("Events", name, plain(telling(numbers, late)), kind, "events", script=Script(events_within_s=within))
        for name, numbers, late, within, kind in (
            ("one lost", [1, 2, 4, 5], 0.0, 0.0, K.EVENT_LOST),
            ("the last one late", [1, 2, 3, 4, 5], 0.4, 0.2, K.EVENT_LATE),
            ("one twice", [1, 2, 2, 3, 4, 5], 0.0, 0.0, K.EVENT_DUPLICATED),
            ("two swapped", [1, 3, 2, 4, 5], 0.0, 0.0, K.EVENT_REORDERED),
        )
    ),
    Case("Attacks", "endless headers, one byte at a time", plain(dribbling), K.UPGRADE_TIMEOUT, "upgrade", SHORT_S),
    *(
        Case("Attacks", name, plain(behaviour), kind, phase)
        for name, behaviour, kind, phase in (
            (
                "endless headers at full speed",
                flooding_at(Peer.request, b"X-More: and more\r\n" * 100, b"HTTP/1.1 101 Switching Protocols\r\n"),
                K.HANDSHAKE_INVALID, "upgrade",
            ),
            (
                "a length of 2^63",
                sending_at(stages.after_101, b"\x81\x7f\x80" + bytes(7)), K.OVERSIZED, "claimed",
            ),
            (
                "a length of 2^63 - 1",
                sending_at(stages.after_101, b"\x81\x7f\x7f" + b"\xff" * 7), K.OVERSIZED, "claimed",
            ),
            (
                "fragments that never end",
                flooding_at(stages.after_101, b"\x00\x7e\x40\x00" + b"x" * 0x4000, b"\x01\x01x"),
                K.OVERSIZED, "claimed",
            ),
            ("a flood of pings", flooding_at(stages.after_101, b"\x89\x00" * 1_000), K.OVERSIZED, "claimed"),
            (
                "gigabytes at full speed",
                flooding_at(stages.after_101, text_frame("x" * 60_000)), K.OVERSIZED, "claimed",
            ),
            (
                "gigabytes at full speed, between events",
                flooding_at(stages.between_events, text_frame("x" * 60_000)), K.OVERSIZED, "events",
            ),
            (
                "masked frames",
                sending_at(stages.after_101, b"\x81\x82" + bytes(4) + b"hi"), K.PROTOCOL_ERROR, "claimed",
            ),
            ("a reserved bit", sending_at(stages.after_101, b"\xc1\x02hi"), K.PROTOCOL_ERROR, "claimed"),
            ("text that is no UTF-8", sending_at(stages.after_101, b"\x81\x02\xff\xfe"), K.PROTOCOL_ERROR, "claimed"),
            ("an unknown opcode", sending_at(stages.after_101, b"\x83\x00"), K.PROTOCOL_ERROR, "claimed"),
        )
    ),
    Case("Attacks", "a decompression bomb", plain(bomb), K.OVERSIZED, "claimed", script=Script(compression=True)),
)  # fmt: skip
"""Every server that the issue of the probe engine names, and some more."""


# The page. -----------------------------------------------------------------------------------------------------------

_HEAD = """# Hostile servers

What a probe says of a server that misbehaves. Each row is a server scripted byte by byte on a real socket
(`tests/support/hostile_servers.py`); the tests run them all and compare kind, phase and sentence with this page.
`python -m tests.support.hostile_servers` writes it anew. Those that end only with the deadline have one of 0.6 s; all
others end long before theirs, 60 s. PORT, DATE and N stand for what differs from run to run.
"""


def row_of(case: Case, outcome: Outcome) -> str:
    """One line of the page."""
    kind = f"`{outcome.kind.value}`" if outcome.kind else "ok"
    return f"| {case.name} | {kind} | {outcome.phase or '-'} | {sentence_of(outcome).replace('|', chr(92) + '|')} |"


def page_of(rows: Mapping[str, list[str]]) -> str:
    """The page, of rows by section."""
    parts = [_HEAD]
    for section, lines in rows.items():
        parts.append(f"\n## {section}\n\n| server | kind | phase | what a person reads |\n|---|---|---|---|\n")
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


async def _run() -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        trusted = authority(Path(folder))
        async with Prober(policy=Policy(allow_private=True)) as prober:
            for case in CASES:
                rows.setdefault(case.section, []).append(row_of(case, await outcome_of(case, trusted, prober)))
    return rows


if __name__ == "__main__":
    PAGE.write_text(page_of(asyncio.run(_run())))
    sys.stdout.write(f"{len(CASES)} servers, {PAGE}\n")
