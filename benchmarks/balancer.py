"""What stands between a client and a server, in miniature: `python -m benchmarks.balancer TO_PORT PORT:RULE:SECONDS...`

Each port forwards to 127.0.0.1:TO_PORT, and ends its connections by its rule:

    age      after so many seconds, with a FIN to both sides
    idle     after so many seconds in which nothing went either way
    swallow  never: after a while it forwards nothing more, and keeps both sides open
    reset    with a RST, at five ages in turn, the first so many seconds
"""

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Iterator
from itertools import cycle

RESET_AGES = (1.0, 1.7, 2.9, 4.9, 8.3)
"""Multiples of the rule's seconds: no third of the connections has one age, for that would show a limit."""
_READ_BYTES = 65_536


class Forwarded:
    """One connection through the balancer."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.near = near
        self.far = far
        self.active = asyncio.Event()
        self.swallowing = False

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one direction until its end."""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_READ_BYTES):
                self.active.set()
                if not self.swallowing:
                    writer.write(data)
                    await writer.drain()

    def end(self, *, reset: bool = False) -> None:
        """Close both sides."""
        for writer in (self.near, self.far):
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()


class Balancer:
    """Forwards the connections of one port."""

    def __init__(self, to_port: int, rule: str, seconds: float) -> None:
        self.to_port = to_port
        self.rule = rule
        self.seconds = seconds
        self._ages: Iterator[float] = cycle(share * seconds for share in RESET_AGES)

    async def serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Forward one connection until somebody ends it."""
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            near.close()
            return
        forwarded = Forwarded(near, far)
        rule = asyncio.create_task(self._apply(forwarded))
        pumps = (forwarded.pump(near_reader, far), forwarded.pump(far_reader, near))
        directions = [asyncio.create_task(pump) for pump in pumps]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for task in (rule, *directions):
            task.cancel()
        forwarded.end()

    async def _apply(self, forwarded: Forwarded) -> None:
        if self.rule == "idle":
            await self._silence(forwarded)
            forwarded.end()
            return
        await asyncio.sleep(next(self._ages) if self.rule == "reset" else self.seconds)
        if self.rule == "swallow":
            forwarded.swallowing = True
        else:
            forwarded.end(reset=self.rule == "reset")

    async def _silence(self, forwarded: Forwarded) -> None:
        """Return once nothing went either way for so long."""
        while True:
            forwarded.active.clear()
            try:
                async with asyncio.timeout(self.seconds):
                    await forwarded.active.wait()
            except TimeoutError:
                return


async def main(to_port: int, ports: list[str]) -> None:
    """Serve every port for ever."""
    servers = []
    for text in ports:
        port, rule, seconds = text.split(":")
        balancer = Balancer(to_port, rule, float(seconds))
        servers.append(await asyncio.start_server(balancer.serve, "127.0.0.1", int(port), backlog=1024))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
