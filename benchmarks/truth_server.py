"""The server of `benchmarks.truth`: every message carries the instant (CLOCK_MONOTONIC, ns) just before it was sent.

Processes of one machine share that clock, so whoever receives a message can tell how wrong its own mark is. The 101
carries the same in its header `X-Sent-Ns`. Path `/` holds the conversation of the default script, at random paces;
`/reply` answers each message with one, for clients that cannot take more.
"""

import argparse
import asyncio
import json
import random
import ssl
import sys
import time

from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from probes.engine.script import CRITICAL_EVENTS

GREETING_S = (0.002, 0.02)
GAP_S = (0.0005, 0.03)
_CLOSE_1000 = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=False)


class Chat(asyncio.Protocol):
    """One connection."""

    def __init__(self, pace_s: float) -> None:
        self._pace_s = pace_s
        self._buffer = b""
        self._open = False
        self._reply = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if end:
                self._buffer, self._open = rest, True
                self._accept(head.decode("latin-1"))
        while self._open and (frame := self._frame()):
            self._take(*frame)

    def _accept(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self._reply = first.split()[1] == "/reply"
        offered = headers.get("sec-websocket-protocol", "").split(", ")[0]
        chosen = f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else ""
        self._transport.write(
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(headers['sec-websocket-key'])}\r\n{chosen}"
                f"X-Sent-Ns: {time.monotonic_ns()}\r\n\r\n"
            ).encode()
        )
        if not self._reply:
            self._later(random.uniform(*GREETING_S), {"type": "connection_ready", "next_seq": 1})

    def _frame(self) -> tuple[int, bytes] | None:
        """A complete masked frame of at most 64 KiB (RFC 6455 section 5.2)."""
        data = self._buffer
        if len(data) < 2:
            return None
        length, at = data[1] & 127, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4]), 4
        if len(data) < at + 4 + length:
            return None
        mask, masked = data[at : at + 4], data[at + 4 : at + 4 + length]
        self._buffer = data[at + 4 + length :]
        return data[0] & 15, bytes(byte ^ mask[index & 3] for index, byte in enumerate(masked))

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CLOSE:
            self._transport.write(_CLOSE_1000)
            self._transport.close()
        elif opcode == Opcode.TEXT and (message := json.loads(payload)).get("type") == "user_message":
            at = random.uniform(0.5, 1.5) * self._pace_s
            for seq, name in enumerate(CRITICAL_EVENTS[:1] if self._reply else CRITICAL_EVENTS, 1):
                event = {"type": name, "run_id": message["run_id"], "epoch": "e", "seq": seq}
                self._later(at, event | ({"last_seq": seq} if seq == len(CRITICAL_EVENTS) else {}))
                at += random.uniform(*GAP_S)

    def _later(self, seconds: float, message: dict[str, object]) -> None:
        asyncio.get_running_loop().call_later(seconds, self._send, message)

    def _send(self, message: dict[str, object]) -> None:
        if not self._transport.is_closing():
            data = json.dumps(message)[:-1]
            text = f'{data}, "sent_ns": {time.monotonic_ns()}}}'
            self._transport.write(Frame(Opcode.TEXT, text.encode()).serialize(mask=False))


async def _serve(pace_s: float, tls: ssl.SSLContext | None) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Chat(pace_s), "127.0.0.1", 0, ssl=tls, backlog=2048)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, required=True, help="mean seconds until the answer to a message")
    parser.add_argument("--certificate", help="PEM file of a certificate and its key: serve wss")
    arguments = parser.parse_args()
    tls = None
    if arguments.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.certificate)
    asyncio.run(_serve(arguments.pace, tls))


if __name__ == "__main__":
    main()
