"""websockets' sans-IO client protocol, with a short way for what nearly every message is: one whole, unmasked frame.

Everything else (fragments, control frames, extensions, lengths of 64 bits, whatever breaks a rule) goes the library's
own way, so that no rule of RFC 6455 is written twice. Measured: the short way costs a third of a frame.
"""

import base64
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.streams import StreamReader
from websockets.typing import Subprotocol
from websockets.utils import accept_key, apply_mask

_WHOLE = {0x81: Opcode.TEXT, 0x82: Opcode.BINARY}  # FIN set, no reserved bit: RFC 6455 section 5.2
_MASKED = 0x80
_SHORT, _SIXTEEN_BITS = 125, 126
_POOL_BYTES = 4_096
_MOST_HEADS = 256
_LONGEST_HEAD = 2_048

_NOT_BEGUN: Generator[None] = (None for _ in ())

logger = logging.getLogger("websockets.client")


class _Pool(threading.local):
    """Random bytes of the operating system, fetched many at once: a masking key has four."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._bytes):
            self._bytes, start, self._at = os.urandom(_POOL_BYTES), 0, count
        return self._bytes[start : self._at]

    def forget(self) -> None:
        self._bytes, self._at = b"", 0


_pool = _Pool()
# A child must not use what its parent uses too.
os.register_at_fork(after_in_child=_pool.forget)


def random_bytes(count: int) -> bytes:
    """Up to a few hundred unpredictable bytes, from the operating system by way of a buffer."""
    return _pool.take(count)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a 101 said that was found valid: its headers by lower-case name, and the subprotocol."""

    headers: dict[str, str]
    subprotocol: Subprotocol | None


# Answers that were found valid, by what was offered and by their bytes with the key's part blanked: the probes of a
# server get the same one over and over, and its parsing costs as much as five messages.
_valid_heads: "OrderedDict[tuple[tuple[str, ...], bytes], Opened]" = OrderedDict()


class Protocol(ClientProtocol):
    """The protocol of one connection."""

    def fresh(self) -> "Protocol":
        """A new connection that offers the same. Everything that a connection changes is made anew; to build all the
        rest once more would cost as much as two messages."""
        new = Protocol.__new__(Protocol)
        new.__dict__.update(self.__dict__)
        new.key = base64.b64encode(random_bytes(16)).decode()  # RFC 6455 section 4.1
        new.reader = StreamReader()
        new.events, new.writes, new.extensions = [], [], []
        new.parser = _NOT_BEGUN
        return new

    def _begin(self) -> None:
        """Start the library's parser, as late as possible: most of what comes never needs it."""
        if self.parser is _NOT_BEGUN:
            self.parser = self.parse()
            next(self.parser)

    def receive_eof(self) -> None:
        """Take the end of the stream; see `ClientProtocol.receive_eof`."""
        self._begin()
        super().receive_eof()

    def receive_data(self, data: bytes | bytearray) -> None:
        """Take bytes of the peer; see `ClientProtocol.receive_data`."""
        if self._state is State.OPEN and self.current_size is None and not self.reader.buffer and not self.extensions:
            taken = self._whole_frames(data)
            if taken == len(data):
                return
            data = data[taken:]
        self._begin()
        super().receive_data(data)

    def _whole_frames(self, data: bytes | bytearray) -> int:
        """Take the whole data frames at the beginning; how many bytes they had."""
        at, size, most = 0, len(data), self.max_message_size
        while at + 2 <= size and (opcode := _WHOLE.get(data[at])) is not None:
            length, start = data[at + 1], at + 2
            if length == _SIXTEEN_BITS and start + 2 <= size:
                length, start = data[start] << 8 | data[start + 1], start + 2
            elif length > _SHORT:
                break
            end = start + length
            if end > size or (most is not None and length > most):
                break
            self.events.append(Frame(opcode, data[start:end]))
            at = end
        return at

    def send_frame(self, frame: Frame) -> None:
        """Queue a frame; see `Protocol.send_frame` of the library."""
        length = len(frame.data)
        if length > _SHORT or not frame.fin or self.extensions:
            super().send_frame(frame)
            return
        mask = random_bytes(4)
        head = bytes((_MASKED | frame.opcode, _MASKED | length))
        self.writes.append(head + mask + apply_mask(frame.data, mask))

    def send_raw(self, data: bytes) -> None:
        """Queue bytes that are ready to be sent: a request whose text was known."""
        self.writes.append(data)

    def release(self) -> None:
        """Take no more bytes. The parser's frame, the tracebacks of what stopped it, and the protocol hold each other,
        and with them all that was read."""
        self.parser.close()
        self.parser_exc = self.handshake_exc = None
        self.reader.discard()

    def offered(self) -> tuple[str, ...]:
        """The subprotocols that the request offered."""
        return tuple(self.available_subprotocols or ())

    def recall(self, head: bytes, rest: bytes) -> tuple[Opened, list[Event]] | None:
        """Open at an answer that differs from a valid one only in the accept value, which is checked; else None."""
        known = self._blanked(head)
        opened = None if known is None else _valid_heads.get(known)
        if opened is None:
            return None
        self.state = State.OPEN
        self.subprotocol = opened.subprotocol
        self.parser = _NOT_BEGUN
        if rest:
            self.receive_data(rest)
        return opened, self.events_received()

    def remember(self, head: bytes, headers: dict[str, str]) -> Opened:
        """Note that this answer was found valid."""
        opened = Opened(headers, self.subprotocol)
        if len(head) <= _LONGEST_HEAD and (known := self._blanked(head)) is not None:
            _valid_heads[known] = opened
            if len(_valid_heads) > _MOST_HEADS:
                _valid_heads.popitem(last=False)
        return opened

    def _blanked(self, head: bytes) -> tuple[tuple[str, ...], bytes] | None:
        """The answer without what our key made of it. A valid one holds no NUL, so that one in it stands for that."""
        accept = accept_key(self.key).encode()
        if self.available_extensions is not None or head.count(accept) != 1 or b"\0" in head:
            return None
        return self.offered(), head.replace(accept, b"\0")
