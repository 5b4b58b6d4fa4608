"""HTTP CONNECT through a proxy (RFC 9110 section 9.3.6), on a connected socket."""

import asyncio
import re
import socket
from dataclasses import dataclass

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n")
_PEEK_BYTES = 4096
_REASON_CHARS = 80
_NEEDS_CREDENTIALS = 407


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What the proxy answered. No fault: from here on the socket is the target's."""

    fault: str
    """What is wrong, as a sentence about the proxy ("It ...") without its full stop; empty where nothing is."""
    shown: str
    """The head of the answer, for the transcript."""


async def tunnel(sock: socket.socket, authority: str, authorization: str, header_bytes: int) -> Tunnel:
    """Ask for `authority` (`host:port`) and read the answer's head, at most `header_bytes`, not one byte more.

    What follows the head is the target's, and stays in the socket. Raises OSError where the proxy leaves.
    """
    credentials = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n"
    await asyncio.get_running_loop().sock_sendall(sock, request.encode("ascii"))
    head = bytearray()
    while True:
        await _readable(sock)
        try:
            peeked = sock.recv(_PEEK_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            continue
        if not peeked:
            raise ConnectionResetError("closed")
        end = _HEAD_END.search(head + peeked)
        head += sock.recv(len(peeked) if end is None else end.end() - len(head))
        if end is not None or len(head) > header_bytes:
            return judged(bytes(head), complete=end is not None, header_bytes=header_bytes)


def judged(head: bytes, *, complete: bool, header_bytes: int) -> Tunnel:
    """What the head of an answer to CONNECT means. Pure."""
    shown = head.decode(errors="backslashreplace").rstrip()
    if not complete or len(head) > header_bytes:
        return Tunnel(f"It answered CONNECT with headers longer than {header_bytes} bytes", shown)
    line = _STATUS_LINE.match(head)
    if line is None:
        return Tunnel("It does not speak HTTP/1.1", shown)
    status = int(line[1])
    if 200 <= status < 300:
        return Tunnel("", shown)
    reason = (line[2] or b"").decode(errors="backslashreplace")[:_REASON_CHARS]
    hint = " (it wants a user and a password)" if status == _NEEDS_CREDENTIALS else ""
    return Tunnel(f"It answered CONNECT with HTTP {status} {reason}".rstrip() + hint, shown)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
