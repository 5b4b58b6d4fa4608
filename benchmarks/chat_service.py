"""A chat service that costs little, so that what is measured is the client: `python -m benchmarks.chat_service`.

It speaks the reference chat on a socket of its own per process (SO_REUSEPORT): ready after the upgrade, five events
after each message, each a write of its own, and an answer to the close. The path /silent is upgraded and then hears
nothing more.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from probes.engine.script import CRITICAL_EVENTS
from tests.support.servers import free_port
from tests.support.waiting import wait_until

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TEXT, _CLOSE = 0x1, 0x8
_BACKLOG = 4096


def _frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    head = bytes([0x80 | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    return head + b"\x7e" + len(payload).to_bytes(2, "big") + payload


_READY = _frame(json.dumps({"type": "connection_ready", "connection_id": "c", "epoch": 1, "next_seq": 1}).encode())


class _Chat(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._open = self._silent = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open and not self._upgrade():
            return
        for opcode, payload in self._frames():
            if opcode == _CLOSE:
                self._write(_frame(payload, _CLOSE))
                if self._transport is not None:
                    self._transport.close()
            elif opcode == _TEXT and not self._silent:
                self._answer(json.loads(payload).get("run_id"))

    def _upgrade(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())  # noqa: S324  RFC 6455
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        answer += b"Sec-WebSocket-Accept: " + accept + b"\r\n"
        if b"sec-websocket-protocol" in headers:
            answer += b"Sec-WebSocket-Protocol: readywire.chat.v1\r\n"
        self._buffer, self._open = rest, True
        self._silent = b" /silent" in lines[0]
        self._write(answer + b"\r\n")
        if not self._silent:
            self._write(_READY)
        return True

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        """Whole frames of the client: masked, and shorter than 64 KiB."""
        while len(data := self._buffer) >= 6:
            size, start = data[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(data[2:4], "big"), 4
            body = start + 4
            if len(data) < body + size:
                return
            mask = int.from_bytes((data[start:body] * (size // 4 + 1))[:size], "big")
            payload = (int.from_bytes(data[body : body + size], "big") ^ mask).to_bytes(size, "big")
            self._buffer = data[body + size :]
            yield data[0] & 0x0F, payload

    def _answer(self, run: object) -> None:
        for seq, event in enumerate(CRITICAL_EVENTS, 1):
            message = {"type": event, "run_id": run, "epoch": 1, "seq": seq}
            if event.startswith("tool_"):
                message |= {"tool_name": "search", "call_id": "1"}
            if seq == len(CRITICAL_EVENTS):
                message["last_seq"] = seq
            self._write(_frame(json.dumps(message).encode()))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


@contextmanager
def chat_service(processes: int = 2) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The address of a running service, and its first process; the others are its children."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.chat_service", "--port", str(port), "--processes", str(processes)]
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: _listens(port), seconds=10, what="the chat service listens")
        yield f"ws://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def _serve(port: int) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(_Chat, "127.0.0.1", port, reuse_port=True, backlog=_BACKLOG)
    await ended.wait()
    server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    children: list[int] = []
    for _ in range(arguments.processes - 1):
        child = os.fork()
        if not child:
            children.clear()
            break
        children.append(child)
    asyncio.run(_serve(arguments.port))
    for child in children:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
