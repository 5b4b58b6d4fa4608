"""Database work beside the event loop: one thread, one connection, kept open and checked before each use."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections
from django.db import connections as database_connections

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """Runs functions one after the other. Django keeps a connection per thread: so this uses one connection in all."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of `work` in the thread; its exception is raised here."""

        def checked() -> T:
            close_old_connections()
            return work(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._executor, checked)

    async def close(self) -> None:
        """Close the connection and end the thread; work already asked for is done first."""
        await asyncio.get_running_loop().run_in_executor(self._executor, database_connections.close_all)
        self._executor.shutdown(wait=False)
