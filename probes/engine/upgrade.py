"""The HTTP half of a probe, sans-IO: the upgrade request, and what its answer means.

The response head is collected first and judged whole, so that a verdict never depends on how reads were split, and an
error answer need not be read to its end.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from websockets.exceptions import InvalidMessage
from websockets.http11 import Response
from websockets.protocol import Event
from websockets.typing import BytesLike

from probes.engine import classification
from probes.engine.classification import Finding, Phase
from probes.engine.prepared import Prepared
from probes.engine.protocol import Protocol

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n")
_BODY_BYTES = 2_000
_NO_HTTP = "the server does not speak HTTP/1.1"
_TLS_ALERT = 0x15  # RFC 8446 section 5.1: what a TLS port answers to plain text
# Where a refusal points to, what it wants, and when it would like to be asked again.
_POINTERS = re.compile(rb"(?im)^(?:location|retry-after|www-authenticate):[^\r\n]*")
_SWITCHING = 101


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered. No findings: the connection is open."""

    findings: tuple[Finding, ...]
    shown: str | bytes
    """Head, and the beginning of an error's body, for the transcript."""
    status: int | None = None
    surplus: int = 0
    """Bytes of frames that came in the same read."""
    events: Sequence[Event] = ()
    """The frames among them that were complete."""
    headers: Mapping[str, str] | None = None
    """By lower-case name; the first value of each."""


class Upgrade:
    """One upgrade over a protocol that is still connecting."""

    def __init__(self, protocol: Protocol, prepared: Prepared, header_bytes: int) -> None:
        self._protocol = protocol
        self._prepared = prepared
        self._header_bytes = header_bytes
        self._head = bytearray()

    @property
    def begun(self) -> bool:
        """Whether some of the answer has come."""
        return bool(self._head)

    def request(self) -> str:
        """Queue the request in the protocol; returns its text for the transcript."""
        text = self._prepared.request(self._protocol.key)
        self._protocol.send_raw(text.encode("latin-1"))
        return text

    def received(self, data: bytes) -> Answer | None:
        """Take bytes of the answer; None while its head is not complete."""
        head = self._head
        head += data
        end = _HEAD_END.search(head)
        if not head.startswith(b"HTTP/1."[: len(head)]):
            what = "the port speaks TLS, so its URL begins with wss://" if head[0] == _TLS_ALERT else _NO_HTTP
            return _invalid(what, head)
        if (len(head) if end is None else end.start()) > self._header_bytes:
            return _invalid(f"headers longer than {self._header_bytes} bytes", head)
        return None if end is None else self._judge(bytes(head), end.end())

    def _judge(self, answer: bytes, body_at: int) -> Answer:
        line = _STATUS_LINE.match(answer)
        if line is None:
            return _invalid("the status line is malformed", answer)
        status = int(line[1])
        if status == _SWITCHING:
            return self._switch(answer, body_at)
        body = readable(answer[body_at : body_at + _BODY_BYTES])
        pointers = "; ".join(readable(each)[:200] for each in _POINTERS.findall(answer, 0, body_at))
        findings = [classification.http_status(status, readable(line[2] or b"")[:80], pointers)]
        if classification.race_text(body):
            findings.append(classification.accept_race("its HTTP answer", Phase.UPGRADE))
        return Answer(tuple(findings), readable(answer[:body_at]) + body, status)

    def _switch(self, answer: bytes, body_at: int) -> Answer:
        head, surplus = answer[:body_at], len(answer) - body_at
        if (known := self._protocol.recall(head, answer[body_at:])) is not None:
            opened, events = known
            return Answer((), head, _SWITCHING, surplus, events, opened.headers)
        self._protocol.receive_data(answer)
        events = self._protocol.events_received()
        error = self._protocol.handshake_exc
        if error is not None:
            cause = error.__cause__ if isinstance(error, InvalidMessage) else None
            finding = classification.handshake_failed(cause if isinstance(cause, Exception) else error)
            return Answer((finding,), head, _SWITCHING)
        headers: dict[str, str] = {}
        if isinstance(response := events[0], Response):
            for name, value in response.headers.raw_items():
                headers.setdefault(name.lower(), value)
        self._protocol.remember(head, headers)
        return Answer((), head, _SWITCHING, surplus, events[1:], headers)


def readable(data: BytesLike) -> str:
    """Bytes of a peer as text; what is not UTF-8 is escaped."""
    return bytes(data).decode(errors="backslashreplace")


def _invalid(fault: str, answer: bytes | bytearray) -> Answer:
    return Answer((classification.handshake_invalid(fault),), readable(answer[:200]))
