"""Servers scripted from published protocol texts, where no kept real one can be installed.

Phoenix: "Writing a Channels Client", serializer 2.0.0. SignalR: HubProtocol.md of aspnetcore. STOMP: the 1.2 text.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support.chat_server import port_of

Talk = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def scripted(talk: Talk, *, path: str = "/", subprotocols: Sequence[str] = ()) -> AsyncIterator[str]:
    """Serve `talk` on a free port of 127.0.0.1; gives the URL."""

    async def quietly(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await talk(connection)

    names = [Subprotocol(name) for name in subprotocols]
    async with serve(quietly, "127.0.0.1", 0, subprotocols=names or None, compression=None) as server:
        yield f"ws://127.0.0.1:{port_of(server)}{path}"


async def echo(connection: ServerConnection) -> None:
    """Says everything back."""
    async for text in connection:
        await connection.send(text)


class Phoenix:
    """One channel, room:lobby, as `mix phx.gen.channel` writes it: answers `ping` with its payload."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.allowed = allowed
        self.paths: list[str] = []

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        joined: Any = None
        async for text in connection:
            join_ref, ref, topic, event, payload = json.loads(text)
            ok = {"status": "ok", "response": payload}
            if event == "phx_join":
                joined = join_ref if self.allowed else None
                reason = {"status": "error", "response": {"reason": "unauthorized"}}
                await self._reply(connection, join_ref, ref, topic, ok if self.allowed else reason)
            elif topic == "phoenix" or (joined is not None and join_ref == joined):
                await self._reply(connection, join_ref, ref, topic, ok)

    async def _reply(self, connection: ServerConnection, join_ref: Any, ref: Any, topic: str, payload: Any) -> None:
        await connection.send(json.dumps([join_ref, ref, topic, "phx_reply", payload]))


class SignalR:
    """A hub with one method, Echo. Answers the handshake and a ping in one frame, for records need not be frames."""

    def __init__(self, *, method: str = "Echo", version: int = 1) -> None:
        self.method = method
        self.version = version

    async def talk(self, connection: ServerConnection) -> None:
        greeting = self._records(await connection.recv())
        if greeting != [{"protocol": "json", "version": self.version}]:
            await connection.send('{"error":"Requested protocol is not available."}\x1e')
            return
        await connection.send('{}\x1e{"type":6}\x1e')
        async for text in connection:
            for record in self._records(text):
                if record["type"] == 1:
                    await connection.send(json.dumps(self._completion(record)) + "\x1e")

    def _records(self, text: str | bytes) -> list[dict[str, Any]]:
        assert isinstance(text, str)
        assert text.endswith("\x1e")
        return [json.loads(record) for record in text.split("\x1e") if record]

    def _completion(self, invocation: dict[str, Any]) -> dict[str, Any]:
        answer = {"type": 3, "invocationId": invocation["invocationId"]}
        if invocation["target"] != self.method:
            return {**answer, "error": "Unknown hub method 'Echo'"}
        return {**answer, "result": invocation["arguments"][0]}


class Stomp:
    """A broker of topics for one client; sends a heart-beat before each message."""

    def __init__(self, *, password: str = "") -> None:
        self.password = password
        self.frames: list[str] = []

    async def talk(self, connection: ServerConnection) -> None:
        subscribed: dict[str, str] = {}
        async for text in connection:
            assert isinstance(text, str)
            assert text.endswith("\0")
            self.frames.append(text)
            head, _, body = text[:-1].partition("\n\n")
            command, *lines = head.split("\n")
            headers = dict(line.split(":", 1) for line in lines)
            if command == "CONNECT":
                await self._connect(connection, headers)
            elif command == "SUBSCRIBE":
                subscribed[headers["destination"]] = headers["id"]
            elif command == "SEND" and headers["destination"] in subscribed:
                where = headers["destination"]
                lines = [f"subscription:{subscribed[where]}", "message-id:1", f"destination:{where}"]
                await connection.send("\n" + "\n".join(["MESSAGE", *lines, "", body]) + "\0\n")

    async def _connect(self, connection: ServerConnection, headers: dict[str, str]) -> None:
        assert "1.2" in headers["accept-version"]
        assert headers["host"]
        if self.password and headers.get("passcode") != self.password:
            await connection.send("ERROR\nmessage:Bad credentials\n\nNot you.\0")
            await connection.close()
        else:
            await connection.send("CONNECTED\nversion:1.2\nheart-beat:0,0\nserver:scripted\n\n\0")
