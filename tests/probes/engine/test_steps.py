"""Scripted conversations: steps in their order, credentials where the script wants them, compression on and off."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed

from probes.engine.outcome import FailureKind
from probes.engine.script import Script, ScriptError
from tests.probes.engine.conftest import Probe
from tests.support.chat_server import ChatServer, port_of

Talk = Callable[[ServerConnection], Awaitable[None]]

LOGIN = """
subprotocols: []
claimed: match
claimed_match: type == 'welcome'
trigger: {type: say, text: "{nonce}"}
events: []
steps:
  - send: {type: login, user: probe}
  - expect: type == 'challenge'
  - send: {type: answer, to: "{nonce}"}
  - claim
  - send: {type: join, room: lobby}
  - expect: type == 'joined' && room == 'lobby'
  - ping
  - trigger
  - send: {type: leave, text: "{nonce}"}
  - expect_text: goodbye {nonce}
"""


@asynccontextmanager
async def talking(talk: Talk, *, compression: str | None = None) -> AsyncIterator[str]:
    async def quietly(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await talk(connection)

    async with serve(quietly, "127.0.0.1", 0, compression=compression) as server:
        yield f"ws://127.0.0.1:{port_of(server)}/chat"


class Club:
    """Lets nobody in who does not know the order of the words."""

    def __init__(self, forgets: str = "") -> None:
        self.heard: list[str] = []
        self.forgets = forgets

    async def talk(self, connection: ServerConnection) -> None:
        async for text in connection:
            said = json.loads(text)
            self.heard.append(said["type"])
            answers: dict[str, Any] = {
                "login": {"type": "challenge"},
                "answer": {"type": "welcome", "to": said.get("to")},
                "join": {"type": "joined", "room": said.get("room")},
                "say": {"type": "said", "text": said.get("text")},
                "leave": {"type": "left", "text": f"goodbye {said.get('text')}"},
            }
            if said["type"] != self.forgets:
                await connection.send(json.dumps(answers[said["type"]]))


async def test_the_steps_happen_in_their_order(probe: Probe) -> None:
    """Before the claim, between the claim and the trigger, and after the run."""
    club = Club()
    async with talking(club.talk) as url:
        outcome = await probe(url, script=Script.from_yaml(LOGIN))
    assert outcome.ok, outcome
    assert club.heard == ["login", "answer", "join", "say", "leave"]
    order = ["upgraded", "claimed", "ping_sent", "pong", "trigger_sent", "ready", "close_sent"]
    assert set(order) <= set(outcome.marks)
    assert outcome.marks["claimed"] < outcome.marks["trigger_sent"] < outcome.marks["close_sent"]


@pytest.mark.parametrize(
    ("forgets", "kind", "phase", "words"),
    [
        ("login", FailureKind.NOT_READY, "claimed", "type == 'challenge'"),
        ("answer", FailureKind.NOT_READY, "claimed", "did not say that it was ready"),
        ("join", FailureKind.FALSE_READY, "ready", "type == 'joined'"),
        ("say", FailureKind.FALSE_READY, "ready", "did not answer our message"),
        ("leave", FailureKind.EVENT_NEVER_EMITTED, "events", "goodbye"),
    ],
)
async def test_a_step_that_is_left_unmet_is_named(
    probe: Probe, forgets: str, kind: FailureKind, phase: str, words: str
) -> None:
    """Where the conversation stopped decides whose turn it was, and what the failure is."""
    async with talking(Club(forgets).talk) as url:
        outcome = await probe(url, script=Script.from_yaml(LOGIN), deadline_s=1.5)
    assert (outcome.kind, outcome.phase) == (kind, phase), outcome
    assert words in outcome.detail


async def test_a_wait_is_a_pause_of_ours(probe: Probe) -> None:
    """The next step comes after it, and not before."""
    yaml = "claimed: upgrade\nsubprotocols: []\nevents: []\ntrigger: '{nonce}'\nsteps: [wait: 0.2, wait: 0.1]\n"
    async with talking(echo) as url:
        outcome = await probe(url, script=Script.from_yaml(yaml))
    assert outcome.ok, outcome
    assert outcome.marks["trigger_sent"] - outcome.marks["upgraded"] >= 300_000


async def test_steps_without_a_trigger_are_claimed_only(probe: Probe) -> None:
    """A target that is only listened to."""
    yaml = "claimed: first_message\nsubprotocols: []\nevents: []\ntrigger: ''\nsteps: [expect_text: tick 2]\n"
    async with talking(ticking) as url:
        outcome = await probe(url, script=Script.from_yaml(yaml))
    assert outcome.ok, outcome
    assert "ready" not in outcome.marks


async def test_a_close_in_the_middle_of_the_steps_is_told_with_its_code(probe: Probe) -> None:
    """An awaited step ends with the connection."""

    async def closing(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(4408, "too slow")

    async with talking(closing) as url:
        outcome = await probe(url, script=Script.from_yaml(LOGIN))
    assert outcome.kind is FailureKind.CLOSED_BEFORE_READY, outcome
    assert outcome.close_code == 4408


async def echo(connection: ServerConnection) -> None:
    async for text in connection:
        await connection.send(text)


async def ticking(connection: ServerConnection) -> None:
    for number in range(100):
        await connection.send(f"tick {number}")
        await asyncio.sleep(0)
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        (Script(), ("Sec-WebSocket-Protocol", "readywire.chat.v1, bearer.s3cret-t0ken")),
        (Script(auth_name="jwt"), ("Sec-WebSocket-Protocol", "readywire.chat.v1, jwt.s3cret-t0ken")),
        (Script(auth="header"), ("Authorization", "Bearer s3cret-t0ken")),
        (Script(auth="header", auth_name="JWT"), ("Authorization", "JWT s3cret-t0ken")),
    ],
)
async def test_the_token_goes_where_the_script_wants_it(probe: Probe, script: Script, shown: tuple[str, str]) -> None:
    """And nowhere into what people read."""
    async with ChatServer().run() as server:
        outcome = await probe(server.url, script=script, token="s3cret-t0ken")
    assert outcome.ok, outcome
    assert server.requests[0][shown[0]] == shown[1]
    assert "s3cret" not in str(outcome.to_message())


async def test_a_token_in_the_query_is_hidden_too(probe: Probe) -> None:
    """Beside what the URL and the script already ask."""
    asked: list[str] = []
    script = Script(
        subprotocols=(), claimed="upgrade", trigger="{nonce}", events=(), auth="query", auth_name="access_token",
        query={"EIO": "4", "name": "a b"},
    )  # fmt: skip

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        await echo(connection)

    async with talking(note) as url:
        outcome = await probe(f"{url}?room=1", script=script, token="s3cret/t0ken")
    assert outcome.ok, outcome
    assert asked == ["/chat?room=1&EIO=4&name=a+b&access_token=s3cret%2Ft0ken"]
    assert "s3cret" not in str(outcome.to_message())


async def test_cookies_are_sent_beside_the_secret_ones(probe: Probe) -> None:
    """One Cookie header, as RFC 6265 asks for."""
    async with ChatServer().run() as server:
        outcome = await probe(
            server.url, script=Script(cookies={"theme": "dark-mode", "lang": "en"}), headers={"cookie": "sid=hush-hush"}
        )
    headers: Headers = server.requests[0]
    assert headers.get_all("Cookie") == ["sid=hush-hush; theme=dark-mode; lang=en"]
    assert "hush-hush" not in str(outcome.to_message())


async def test_a_cookie_that_the_server_echoes_is_hidden(probe: Probe) -> None:
    """Its value is a secret, wherever it shows."""
    server = ChatServer(answer=lambda _run: [{"type": "error", "message": "no session hush-hush-hush"}])
    async with server.run():
        outcome = await probe(server.url, script=Script(cookies={"sid": "hush-hush-hush"}))
    assert "no session" in outcome.detail
    assert "hush-hush-hush" not in str(outcome.to_message())


@pytest.mark.parametrize("offered", [True, False])
async def test_compression_is_used_where_it_is_offered_and_changes_no_verdict(probe: Probe, offered: bool) -> None:
    """Both ways on the wire."""
    agreed: list[list[str]] = []

    async def note(connection: ServerConnection) -> None:
        agreed.append([each.name for each in connection.protocol.extensions])
        await echo(connection)

    script = Script(
        subprotocols=(), claimed="upgrade", trigger="{nonce}" + "z" * 5000, events=(), compression=offered
    )  # fmt: skip
    async with talking(note, compression="deflate") as url:
        outcome = await probe(url, script=script)
    assert outcome.ok, outcome
    assert agreed == [["permessage-deflate"] if offered else []]
    assert not outcome.flagged


async def test_a_message_that_unpacks_to_too_much_is_oversized(probe: Probe) -> None:
    """The limit holds after decompression."""

    async def bomb(connection: ServerConnection) -> None:
        await connection.send("z" * 5_000_000)

    async with talking(bomb, compression="deflate") as url:
        outcome = await probe(url, script=Script(subprotocols=(), compression=True))
    assert outcome.kind is FailureKind.OVERSIZED, outcome


@pytest.mark.parametrize(
    ("yaml", "line", "words"),
    [
        ("claimed: upgrade\nsteps: hello\n", 2, "list of steps"),
        ("steps:\n  - send: a\n  - sned: b\n", 3, "no step"),
        ("steps:\n  - claim\n  - expect: type ==\n", 3, "JMESPath"),
        ("steps:\n  - wait: long\n", 2, "no time"),
        ("steps:\n  - send: ''\n", 2, "must be text"),
        ("steps:\n  - ping: 3\n", 2, "takes no value"),
        ("steps:\n  - send: a\n    expect: b\n", 2, "own hyphen"),
        ("claimed: pong\nsteps: [claim, claim]\n", 2, "twice"),
        ("steps: [trigger, claim]\n", 1, "early_send"),
        ("steps: [send: a, claim]\nearly_send: true\n", 2, "before the claim"),
        ("auth: somewhere\n", 1, "header, query"),
        ("auth_name: two words\n", 1, "single word"),
        ("cookies: {a: 'b c'}\n", 1, "RFC 6265"),
        ("query: {a: 4}\n", 1, "quotes"),
        ("compression: deflate\n", 1, "true or false"),
    ],
)
def test_a_mistake_in_a_step_names_its_line(yaml: str, line: int, words: str) -> None:
    """Each item has its own."""
    with pytest.raises(ScriptError) as caught:
        Script.from_yaml(yaml)
    assert caught.value.line == line
    assert words in str(caught.value)


def test_steps_survive_json() -> None:
    """Whatever was written comes back."""
    script = Script.from_yaml(LOGIN + "cookies: {a: b}\nquery: {c: d}\nauth: query\ncompression: true\n")
    assert len(script.steps) == 10
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script
