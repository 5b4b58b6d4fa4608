"""A TCP proxy in user space that delays every byte by a chosen time each way, and can cut its clients off after a
while, as a cloud's request timeout does."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class DelayingProxy:
    """Between its own `port` and `backend`. `cut_after_s` seconds after a client came it is reset; the backend's side
    is closed with it, or with `keeps_backend` left open in silence: nobody tells the application."""

    def __init__(
        self, backend: int, *, one_way_s: float = 0.0, cut_after_s: float | None = None, keeps_backend: bool = False
    ) -> None:
        self._backend = backend
        self._one_way_s = one_way_s
        self._cut_after_s = cut_after_s
        self._keeps_backend = keeps_backend
        self.port = 0
        self.cuts = 0
        self.swallowed = bytearray()
        """What backends sent to clients that had been cut off."""

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._backend)
        on_its_way: deque[tuple[float, bytes]] = deque()
        pumps = [
            asyncio.create_task(self._pump(client, to_server, deque())),
            asyncio.create_task(self._pump(server, to_client, on_its_way)),
        ]
        try:
            async with asyncio.timeout(self._cut_after_s):
                await asyncio.gather(*pumps)
        except TimeoutError:
            self.cuts += 1
            _reset(to_client)
            self.swallowed += b"".join(data for _, data in on_its_way)
            while self._keeps_backend and (data := await server.read(65_536)):
                self.swallowed += data
        except ConnectionError:
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            to_client.close()
            to_server.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pieces: deque[tuple[float, bytes]]
    ) -> None:
        """In order, each piece `one_way_s` after it came; its end as well. `pieces` are on their way."""
        loop, more = asyncio.get_running_loop(), asyncio.Event()

        async def deliver() -> None:
            while True:
                while not pieces:
                    more.clear()
                    await more.wait()
                due, data = pieces[0]
                await asyncio.sleep(due - loop.time())
                pieces.popleft()
                if not data:
                    if sink.can_write_eof():
                        sink.write_eof()
                    return
                sink.write(data)
                await sink.drain()

        async def take() -> None:
            while True:
                data = await source.read(65_536)
                pieces.append((loop.time() + self._one_way_s, data))
                more.set()
                if not data:
                    return

        await asyncio.gather(deliver(), take())


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def delaying_proxy(
    backend: int, *, one_way_s: float = 0.0, cut_after_s: float | None = None, keeps_backend: bool = False
) -> AsyncIterator[DelayingProxy]:
    """Serve a proxy on a free port of 127.0.0.1."""
    proxy = DelayingProxy(backend, one_way_s=one_way_s, cut_after_s=cut_after_s, keeps_backend=keeps_backend)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        with suppress(asyncio.CancelledError, ConnectionError):
            await proxy._serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
