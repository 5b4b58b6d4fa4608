"""A deferred accept under the four servers: each a real process."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from tests.connections.gate.applications import closed
from tests.support.asgi_servers import KINDS, Kind, Running, running


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_client_is_accepted_when_the_application_is_ready_and_refused_where_it_never_is(kind: Kind) -> None:
    with running(kind, "deferred_chat:app", Path(__file__).parent) as server:
        asyncio.run(_ready(server))
        asyncio.run(_never(server))
        asyncio.run(_turned_away(server))
        records = server.ended(3)
    assert [record["cause"] for record in records] == ["client_closed", "not_ready", "self_closed"]
    assert (records[1]["why"], records[1]["close_code"]) == ("not ready in time: llm", None)
    assert "Traceback" not in server.log


async def _ready(server: Running) -> None:
    async with connect(server.ws.replace("chat", "ready")) as client:
        await client.send("hello")
        assert json.loads(await client.recv())["type"] == "connection_ready"
        assert [await client.recv(), await client.recv()] == ["welcome", "hello"]


async def _never(server: Running) -> None:
    with pytest.raises((InvalidStatus, InvalidMessage)) as refusal:
        await connect(server.ws.replace("chat", "never"))
    if isinstance(refusal.value, InvalidStatus):
        assert refusal.value.response.status_code in (403, 503)


async def _turned_away(server: Running) -> None:
    async with connect(server.ws.replace("chat", "token")) as client:
        assert await client.recv() == "welcome"
        assert await closed(client) == 4401
