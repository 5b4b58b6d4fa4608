"""A real name server on a loopback port: answers what it is told to, or nothing at all."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import cast

Answers = Callable[[str], Sequence[str] | None]
"""The addresses of a name; None: the question is dropped, as a black hole does."""

_A, _AAAA = 1, 28
_KIND_OF_VERSION = {4: _A, 6: _AAAA}


class NameServer(asyncio.DatagramProtocol):
    """Answers A and AAAA questions (RFC 1035, RFC 3596); `asked` lists what came, with its type."""

    def __init__(self, answers: Answers, drops: str = "") -> None:
        self.answers = answers
        self.drops = drops
        self.asked: list[tuple[str, str]] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode().lower())
            at += size + 1
        (kind,) = struct.unpack("!H", data[at + 1 : at + 3])
        name = ".".join(labels)
        shown = {_A: "A", _AAAA: "AAAA"}.get(kind, str(kind))
        self.asked.append((name, shown))
        found = None if shown == self.drops else self.answers(name)
        if found is None or self._transport is None:
            return
        records = b""
        count = 0
        for address in map(ip_address, found):
            if _KIND_OF_VERSION[address.version] == kind:
                records += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
                count += 1
        head = data[:2] + struct.pack("!HHHHH", 0x8580, 1, count, 0, 0)
        self._transport.sendto(head + data[12 : at + 5] + records, addr)


@asynccontextmanager
async def name_server(answers: Answers, drops: str = "") -> AsyncIterator[NameServer]:
    """Serve `answers` on a free UDP port of 127.0.0.1. `drops`: questions of this type (A, AAAA) get no answer."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(answers, drops), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
