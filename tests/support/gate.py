"""A TCP gate before a real server: closed, it resets every connection and lets nobody in."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Gate:
    """Forwards bytes between its own port and `backend` while open."""

    def __init__(self, backend: tuple[str, int]) -> None:
        self._backend = backend
        self._pairs: set[socket.socket] = set()
        self._opened = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._opened = True

    def close(self) -> None:
        """Cut every connection, and refuse new ones until `open`."""
        self._opened = False
        for end in list(self._pairs):
            _drop(end)

    def end(self) -> None:
        self.close()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._opened:
                _drop(client)
                continue
            server = socket.create_connection(self._backend)
            self._pairs |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            self._pairs.discard(end)
            _drop(end)


def _drop(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def gated(url: str) -> Iterator[tuple[str, Gate]]:
    """The URL of a gate before the server at `url`, and the gate."""
    parts = urlsplit(url)
    gate = Gate((parts.hostname or "", parts.port or 0))
    userinfo = parts.netloc.rpartition("@")[0]
    netloc = f"{userinfo}@127.0.0.1:{gate.port}" if userinfo else f"127.0.0.1:{gate.port}"
    try:
        yield urlunsplit(parts._replace(netloc=netloc)), gate
    finally:
        gate.end()
