"""A real HTTP proxy on a loopback port that tunnels CONNECT, and can be told to answer something else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """What the proxy answers, and what it saw."""

    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    """The head of its answer; one that is not 200 leaves the connection idle."""
    seen: list[str] = field(default_factory=list)
    """Heads of the requests."""
    resolve: dict[str, str] = field(default_factory=dict)
    """Names that only the proxy knows."""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.seen.append(head)
        writer.write(self.answer)
        await writer.drain()
        if b" 200 " not in self.answer:
            await reader.read()
            return
        host, _, port = head.split()[1].rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(self.resolve.get(host, host.strip("[]")), int(port))
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def connect_proxy(**options: bytes | dict[str, str]) -> AsyncIterator[ConnectProxy]:
    """Serve a proxy on a free port of 127.0.0.1."""
    proxy = ConnectProxy(**options)  # type: ignore[arg-type]  # the dataclass says which
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await proxy.serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
