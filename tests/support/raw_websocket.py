"""A WebSocket client that sends exactly the bytes it is told to, and says exactly what came back (RFC 6455)."""

import asyncio
import base64
import os
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field

NO_STATUS, NO_CLOSE_FRAME = 1005, 1006
"""What RFC 6455, 7.1.5 calls a close frame without a code, and an end without a close frame."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(opcode: int, payload: bytes = b"", *, first: int | None = None, masked: bool = True) -> bytes:
    """One frame of a client. `first` replaces the first byte (FIN, reserved bits, opcode)."""
    head = bytes([0x80 | opcode if first is None else first])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65_536:
        head += struct.pack("!BH", mask_bit | 126, len(payload))
    else:
        head += struct.pack("!BQ", mask_bit | 127, len(payload))
    return head + b"\0\0\0\0" + payload if masked else head + payload  # a mask of zeros changes nothing


@dataclass(slots=True)
class Answer:
    """What the server did. `code` is None while it is still open; `status` is that of the upgrade."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    code: int | None = None
    reason: str = ""


class RawWebSocket:
    """One connection. `answer` grows while it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self.answer = answer

    @classmethod
    async def open(cls, port: int, path: str, *subprotocols: str, early: bytes = b"") -> "RawWebSocket":
        """Ask 127.0.0.1 for an upgrade; `early` goes out in the instant in which the 101 has come."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [
            f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        ]  # fmt: skip
        if subprotocols:
            head.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        found = cls(reader, writer, await _answer(reader))
        if found.answer.status == 101:
            await found.send(early)
        return found

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        with suppress(ConnectionError):  # the server has closed; reading tells how
            await self._writer.drain()

    async def read(self, until: str | None = None, seconds: float = 20) -> Answer:
        """Read until the connection ends, or a text with `until` in it comes. TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while self.answer.status == 101 and self.answer.code is None:
                if await self._frame() == TEXT and until is not None and until in self.answer.texts[-1]:
                    break
        return self.answer

    async def answers_ping(self) -> bool:
        """Whether the server answers a ping, or closes instead. It has then read all that was sent before."""
        await self.send(frame(PING, b"?"))
        async with asyncio.timeout(20):
            while self.answer.code is None:
                if await self._frame() == PONG:
                    return True
        return False

    def leave(self, *, reset: bool = False) -> None:
        """End the TCP connection without a close frame; with a reset where asked."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort() if reset else self._writer.close()

    async def _frame(self) -> int | None:
        try:
            first, second = await self._reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
            payload = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.answer.code = NO_CLOSE_FRAME
            return None
        opcode = first & 0x0F
        if opcode == TEXT:
            self.answer.texts.append(payload.decode())
        elif opcode == CLOSE:
            self.answer.code = struct.unpack("!H", payload[:2])[0] if payload else NO_STATUS
            self.answer.reason = payload[2:].decode()
            await self.send(frame(CLOSE, payload[:2]))
        return opcode


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """The head of the server's answer; status 0 where it is no HTTP."""
    try:
        async with asyncio.timeout(30):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
    except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError):
        return Answer(0)
    pairs = (line.partition(":") for line in head[1:] if line)
    return Answer(status, {name.strip().lower(): value.strip() for name, _, value in pairs})
