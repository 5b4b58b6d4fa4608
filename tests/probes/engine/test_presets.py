"""Every preset against a server that speaks its protocol: a real one where a kept one can be installed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import socketio

from probes.engine.outcome import FailureKind, Outcome
from probes.engine.presets import PRESETS
from probes.engine.script import CRITICAL_EVENTS, Script, ScriptError
from tests.probes.engine.conftest import Probe
from tests.support.asgi import serving
from tests.support.chat_server import ChatServer
from tests.support.node_presets import node_servers
from tests.support.scripted import Phoenix, SignalR, Stomp, echo, scripted


def preset(name: str, **changes: Any) -> Script:
    return Script.from_json({"preset": name, **changes})


def proven(outcome: Outcome) -> bool:
    """Claimed, proven by an answer of the application, and left politely."""
    assert outcome.ok, outcome
    assert {"claimed", "trigger_sent", "ready"} <= set(outcome.marks)
    return (outcome.close_code, outcome.closed_by) == (1000, "us")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_script_that_survives_json(name: str) -> None:
    """By its name, in JSON and in YAML alike."""
    script = preset(name)
    assert Script.from_json(json.loads(json.dumps(script.to_json()))) == script
    assert Script.from_yaml(f"preset: {name}\n") == script


def test_a_script_changes_fields_of_its_preset() -> None:
    """The rest stays."""
    script = Script.from_yaml("preset: mqtt\nsubprotocols: [mqttv3.1]\n")
    assert script.subprotocols == ("mqttv3.1",)
    assert script.steps == preset("mqtt").steps


@pytest.mark.parametrize(
    ("yaml", "line", "words"),
    [
        ("claimed: pong\npreset: morse\n", 2, "graphql-transport-ws"),
        ("wire: morse\n", 1, "socket.io"),
        ("preset: mqtt\ntrigger: hello {nonce}\n", 2, "mapping"),
        ("preset: mqtt\nsteps:\n  - send: {type: unsubscribe}\n", 3, "no packet"),
        ("preset: mqtt\nsteps:\n  - claim\n  - send: {type: subscribe}\n", 4, "topic"),
        ("preset: stomp\nsteps:\n  - send: {headers: {}}\n", 3, "has no type"),
        ("preset: stomp\nearly_send: true\n", 2, "before the claim"),
    ],
)
def test_a_message_that_the_wire_cannot_carry_is_named_with_its_line(yaml: str, line: int, words: str) -> None:
    """Before anything is dialled."""
    with pytest.raises(ScriptError) as caught:
        Script.from_yaml(yaml)
    assert caught.value.line == line
    assert words in str(caught.value)


# Plain ones. ----------------------------------------------------------------------------------------------------------


def test_the_readywire_preset_is_the_default_script() -> None:
    assert preset("readywire") == Script()


async def test_a_plain_echo(probe: Probe) -> None:
    async with scripted(echo) as url:
        assert proven(await probe(url, script=preset("echo")))


@pytest.mark.parametrize(
    "welcome",
    [
        {"type": "connection_established", "data": {"mode": "normal", "connection_id": "c"}},
        {"type": "system_message", "data": {"event": "connection_established", "connection_ready": True}},
    ],
)
async def test_the_origins_chat(probe: Probe, welcome: dict[str, Any]) -> None:
    """Its events have ids and no numbers; runs are the server's; the token is the subprotocol jwt.TOKEN."""

    def answer(_run: Any) -> list[dict[str, Any]]:
        names = [*CRITICAL_EVENTS[:2], *CRITICAL_EVENTS[1:]]  # it thinks twice
        return [
            {"type": name, "event_id": f"e{at}", "run_id": "run-7", "tool_name": "search"}
            for at, name in enumerate(names)
        ]

    class Origin(ChatServer):
        """Reads the origin's own message."""

    server = Origin(answer=answer, greeting=welcome, subprotocols=["jwt-auth"])
    script = preset("origin", trigger={"type": "user_message", "run_id": "-", "payload": {"content": "hello"}})
    async with server.run():
        outcome = await probe(server.url, script=script, token="head.body.signature")
    assert proven(outcome)
    assert outcome.events.delivered == 5
    assert server.offered == ["jwt-auth", "jwt.head.body.signature"]


# Real servers from the registries. ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node() -> Iterator[Mapping[str, str]]:
    with node_servers() as urls:
        yield urls


async def test_graphql_ws_answers_a_subscription(probe: Probe, node: Mapping[str, str]) -> None:
    """npm graphql-ws: connection_init, connection_ack, subscribe, next."""
    outcome = await probe(node["graphql"], script=preset("graphql-transport-ws"), token="right")
    assert proven(outcome)
    assert any('"__typename"' in frame.text for frame in outcome.frames if frame.direction == "in")


async def test_graphql_ws_refuses_a_wrong_token_with_4403(probe: Probe, node: Mapping[str, str]) -> None:
    outcome = await probe(node["graphql"], script=preset("graphql-transport-ws"), token="wrong")
    assert (outcome.kind, outcome.close_code) == (FailureKind.UNAUTHORIZED, 4403), outcome


async def test_graphql_ws_reports_a_query_that_it_does_not_know(probe: Probe, node: Mapping[str, str]) -> None:
    """An `error` to our operation disproves the claim."""
    trigger = {"id": "{nonce}", "type": "subscribe", "payload": {"query": "query { absent }"}}
    outcome = await probe(node["graphql"], script=preset("graphql-transport-ws", trigger=trigger))
    assert outcome.kind is FailureKind.FALSE_READY, outcome
    assert "absent" in outcome.detail


async def test_aedes_gives_our_publication_back(probe: Probe, node: Mapping[str, str]) -> None:
    """npm aedes: CONNECT, CONNACK, SUBSCRIBE, SUBACK, PUBLISH, PUBLISH."""
    assert proven(await probe(node["mqtt"], script=preset("mqtt")))


async def test_aedes_speaks_quality_of_service_1_too(probe: Probe, node: Mapping[str, str]) -> None:
    """What it publishes so, we acknowledge."""
    script = preset(
        "mqtt",
        steps=[
            {"send": {"type": "connect", "client_id": "rw-{nonce}"}},
            "claim",
            {"send": {"type": "subscribe", "topic": "readywire/{nonce}", "qos": 1}},
            {"expect": "type == 'suback'"},
            "trigger",
            {"send": {"type": "pingreq"}},
            {"expect": "type == 'pingresp'"},
        ],
        trigger={"type": "publish", "topic": "readywire/{nonce}", "payload": "{nonce}", "qos": 1, "packet_id": 2},
    )
    outcome = await probe(node["mqtt"], script=script)
    assert proven(outcome)
    assert any('"puback"' in frame.text for frame in outcome.frames if frame.direction == "out")


async def test_aedes_refuses_a_wrong_password(probe: Probe, node: Mapping[str, str]) -> None:
    """The token stands in the CONNECT, and is hidden in the transcript."""
    login = {"type": "connect", "client_id": "rw-{nonce}", "username": "probe", "password": "{token}"}
    script = preset("mqtt", auth="message", steps=[{"send": login}, "claim", "trigger"])
    outcome = await probe(node["mqtt"], script=script, token="wrong")
    assert outcome.kind is FailureKind.NOT_READY, outcome
    assert "connack_error" in outcome.detail
    assert "wrong" not in str(outcome.to_message())


async def test_stomp_broker_js_gives_our_message_back(probe: Probe, node: Mapping[str, str]) -> None:
    """npm stomp-broker-js: CONNECT, CONNECTED, SUBSCRIBE, SEND, MESSAGE."""
    outcome = await probe(node["stomp"], script=preset("stomp"))
    assert proven(outcome)
    assert [frame.text.partition("\n")[0] for frame in outcome.frames if frame.kind == "text"] == [
        "CONNECT", "CONNECTED", "SUBSCRIBE", "SEND", "MESSAGE",
    ]  # fmt: skip


async def test_stomp_broker_js_refuses_a_wrong_passcode(probe: Probe, node: Mapping[str, str]) -> None:
    """Its ERROR frame is the evidence; the passcode is in no transcript."""
    headers = {"accept-version": "1.2", "host": "/", "login": "probe", "passcode": "{token}"}
    script = preset("stomp", auth="message", steps=[{"send": {"type": "connect", "headers": headers}}, "claim"])
    outcome = await probe(node["stomp"], script=script, token="wrong")
    assert outcome.kind is FailureKind.NOT_READY, outcome
    assert "CONNECTION ERROR" in outcome.detail
    assert "wrong" not in str(outcome.to_message())


def socket_io() -> Any:
    """python-socketio: echoes in its acknowledgement, and knows whom to refuse."""
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=0.2, ping_timeout=0.3)

    async def connect(_sid: str, environment: dict[str, Any], _auth: Any) -> bool:
        return bool(environment.get("HTTP_AUTHORIZATION") != "Bearer wrong")

    async def echo(_sid: str, text: str) -> str:
        return text

    server.on("connect", connect)
    server.on("echo", echo)
    return socketio.ASGIApp(server)


async def test_socket_io_acknowledges_an_event(probe: Probe) -> None:
    """python-socketio under uvicorn: open, connect, an event, its acknowledgement."""
    with serving(socket_io()) as served:
        outcome = await probe(f"{served.ws}/socket.io/", script=preset("socket.io"), token="right")
    assert proven(outcome)


async def test_socket_io_keeps_a_probe_that_answers_its_pings(probe: Probe) -> None:
    """A second of waiting is twice the patience of this server."""
    steps = [{"expect": "type == 'open'"}, {"send": {"type": "connect"}}, "claim", {"wait": 1.0}, "trigger"]
    with serving(socket_io()) as served:
        outcome = await probe(f"{served.ws}/socket.io/", script=preset("socket.io", steps=steps), deadline_s=5.0)
    assert proven(outcome)
    assert sum(frame.text == "3" for frame in outcome.frames if frame.direction == "out") >= 2


async def test_socket_io_says_why_it_refuses(probe: Probe) -> None:
    """CONNECT_ERROR is an error frame."""
    with serving(socket_io()) as served:
        outcome = await probe(f"{served.ws}/socket.io/", script=preset("socket.io"), token="wrong")
    assert outcome.kind is FailureKind.NOT_READY, outcome
    assert "44" in outcome.detail


# Servers scripted from the published texts. ---------------------------------------------------------------------------


async def test_a_phoenix_channel_answers_a_push(probe: Probe) -> None:
    """phx_join, phx_reply, ping, phx_reply; the serializer's version and the token are in the query."""
    phoenix = Phoenix()
    async with scripted(phoenix.talk, path="/socket/websocket") as url:
        assert proven(await probe(url, script=preset("phoenix"), token="t0ken"))
    assert phoenix.paths == ["/socket/websocket?vsn=2.0.0&token=t0ken"]


async def test_a_phoenix_channel_that_refuses_to_be_joined_is_not_ready(probe: Probe) -> None:
    async with scripted(Phoenix(allowed=False).talk) as url:
        outcome = await probe(url, script=preset("phoenix"))
    assert outcome.kind is FailureKind.NOT_READY, outcome
    assert "unauthorized" in outcome.detail


async def test_a_signalr_hub_completes_an_invocation(probe: Probe) -> None:
    """Its handshake and a ping come in one frame."""
    async with scripted(SignalR().talk) as url:
        assert proven(await probe(url, script=preset("signalr")))


async def test_a_signalr_hub_without_the_method_disproves_its_claim(probe: Probe) -> None:
    async with scripted(SignalR(method="Other").talk) as url:
        outcome = await probe(url, script=preset("signalr"))
    assert outcome.kind is FailureKind.FALSE_READY, outcome
    assert "Unknown hub method" in outcome.detail


async def test_a_signalr_hub_of_another_version_is_not_ready(probe: Probe) -> None:
    async with scripted(SignalR(version=2).talk) as url:
        outcome = await probe(url, script=preset("signalr"))
    assert outcome.kind is FailureKind.NOT_READY, outcome
    assert "not available" in outcome.detail


async def test_a_stomp_broker_gives_our_message_back(probe: Probe) -> None:
    """CONNECT, CONNECTED, SUBSCRIBE, SEND, MESSAGE; heart-beats between frames are no messages."""
    broker = Stomp()
    async with scripted(broker.talk, subprotocols=["v12.stomp"]) as url:
        assert proven(await probe(url, script=preset("stomp")))
    assert [frame.partition("\n")[0] for frame in broker.frames] == ["CONNECT", "SUBSCRIBE", "SEND"]


@pytest.mark.parametrize(("token", "kind"), [("pass:word", None), ("wrong-word", FailureKind.NOT_READY)])
async def test_a_stomp_broker_takes_the_token_as_its_passcode(probe: Probe, token: str, kind: Any) -> None:
    """CONNECT headers are not escaped, and the passcode is in no transcript."""
    headers = {"accept-version": "1.2", "host": "/", "login": "probe", "passcode": "{token}"}
    steps = [
        {"send": {"type": "connect", "headers": headers}},
        "claim",
        {"send": {"type": "subscribe", "headers": {"id": "0", "destination": "/topic/readywire.{nonce}"}}},
    ]
    script = preset("stomp", auth="message", steps=steps)
    async with scripted(Stomp(password="pass:word").talk, subprotocols=["v12.stomp"]) as url:
        outcome = await probe(url, script=script, token=token)
    assert outcome.kind is kind, outcome
    assert token not in str(outcome.to_message())
