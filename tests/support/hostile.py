"""Servers scripted byte by byte on port 0: whatever a real one may do to a probe."""

import asyncio
import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

Behaviour = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection of a probe, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.key = ""

    async def request(self) -> bytes:
        """Read the upgrade request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-key":
                self.key = value.strip()
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: str, body: str = "", headers: str = "") -> None:
        """Read the request, and answer it with an HTTP status line."""
        await self.request()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        await self.send(f"HTTP/1.1 {status}\r\n{headers}{length}\r\n{body}".encode())

    def accepted(self, *, key: str = "", headers: str = "") -> bytes:
        """The head of an answer that switches protocols."""
        lines = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key or self.key)}\r\n"
        return f"HTTP/1.1 101 Switching Protocols\r\n{lines}{headers}\r\n".encode()

    async def upgrade(self, *, key: str = "", headers: str = "") -> None:
        """Read the request, and switch protocols; `key`: as if another had been sent."""
        await self.request()
        await self.send(self.accepted(key=key, headers=headers))

    async def say(self, **message: Any) -> None:
        """Send a JSON text frame."""
        await self.send(text_frame(json.dumps(message)))

    async def ready(self) -> None:
        await self.say(type="connection_ready", epoch="e1", next_seq=1, strategy="immediate", flags_revision=3)

    async def close_frame(self, code: int, reason: str = "") -> None:
        await self.send(Frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()).serialize(mask=False))

    async def answer_close(self) -> None:
        """Wait for the probe's close frame, and answer it."""
        with suppress(asyncio.IncompleteReadError):
            await self.message()
        await self.close_frame(1000)

    async def message(self) -> dict[str, Any]:
        """The next text message of the probe that is no acknowledgement. Raises IncompleteReadError at its end."""
        while True:
            head = await self.reader.readexactly(2)
            length = head[1] & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            mask = await self.reader.readexactly(4)
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(await self.reader.readexactly(length)))
            if head[0] & 0x0F == Opcode.CLOSE:
                raise asyncio.IncompleteReadError(b"", None)
            if head[0] & 0x0F == Opcode.TEXT:
                message: dict[str, Any] = json.loads(payload)
                if message["type"] != "ready_ack":
                    return message

    async def silence(self) -> None:
        """Say nothing until the probe hangs up."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def reset(self) -> None:
        """Send a TCP reset instead of an orderly end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def text_frame(text: str) -> bytes:
    """A server's text frame."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


@contextmanager
def openssl_server(context: ssl.SSLContext) -> Iterator[str]:
    """A TLS port that says why it refuses a handshake, as OpenSSL does (asyncio just hangs up); gives its URL."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                plain.settimeout(5)
                _handshake(context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"wss://localhost:{listener.getsockname()[1]}/ws/chat"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _handshake(secure: ssl.SSLSocket) -> None:
    with secure, suppress(OSError):
        try:
            secure.do_handshake()
        except ssl.SSLError:  # its alert is sent; closing over unread bytes would take it back
            secure.shutdown(socket.SHUT_WR)
        while secure.recv(65_536):
            pass


@contextmanager
def black_hole(address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port whose kernel drops every SYN: its backlog is full, and nobody accepts. Gives the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.bind((address, port))
        listener.listen(0)
        place = listener.getsockname()[:2]
        while True:
            filler = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            filler.setblocking(False)
            filler.connect_ex(place)
            # On loopback a handshake that can finish has finished by now; one that has not never will.
            if not select.select([], [filler], [], 0.1)[1]:
                break
        yield place[1]


@asynccontextmanager
async def hostile(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve `behaviour` on a free port of 127.0.0.1; gives the URL. Connections end when `behaviour` returns."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            await behaviour(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the probe hung up, or the test is over
        finally:
            writer.close()

    tasks: set[asyncio.Task[Any]] = set()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{port}/ws/chat"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
