"""A real ASGI server (uvicorn) on a free loopback port, in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn

from tests.support.waiting import wait_until


@dataclass
class Served:
    """A running server. `server.should_exit = True` ends it as SIGTERM would."""

    server: uvicorn.Server
    thread: threading.Thread
    port: int

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it and wait for its thread."""
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive(), "uvicorn did not stop"


@contextmanager
def serving(
    app: Any,
    *,
    port: int = 0,
    ws: Literal["websockets-sansio", "wsproto", "websockets"] = "websockets-sansio",
    lifespan: Literal["auto", "on", "off"] = "off",
) -> Iterator[Served]:
    """Serve `app` for the block."""
    config = uvicorn.Config(
        app,
        port=port,
        ws=ws,
        lifespan=lifespan,
        log_level="error",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="uvicorn listens")
    served = Served(server, thread, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield served
    finally:
        served.stop()
