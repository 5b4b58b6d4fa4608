"""Which addresses are dialled, and the road through a proxy: on real sockets."""

import asyncio

import pytest

from probes.engine.client import Prober
from probes.engine.connection import Connection
from probes.engine.guardrails import Policy
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.proxying import judged
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.chat_server import ChatServer
from tests.support.connect_proxy import connect_proxy
from tests.support.hostile import Peer, hostile
from tests.support.name_server import name_server
from tests.support.naming import asking, named, port_in, spec

# Policy. -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:10.0.0.1"])
async def test_a_name_is_judged_by_its_addresses(address: str) -> None:
    """Whatever it is called."""
    async with named(lambda _name: [address], Policy()) as (prober, _):
        outcome = await prober.probe(spec("ws://innocent.test/"))
    assert (outcome.kind, outcome.phase) == (FailureKind.POLICY_DENIED, "dns"), outcome
    assert address.removeprefix("::ffff:") in outcome.detail


async def test_the_address_checked_is_the_address_dialled() -> None:
    """DNS rebinding: an allowed answer first, a forbidden one to whoever asks again. Nobody asks again."""
    server = ChatServer()
    answers = ["127.0.0.1"]

    def rebinding(_name: str) -> list[str]:
        return [answers.pop()] if answers else ["10.0.0.1"]

    async with server.run(), name_server(rebinding) as names:
        port = port_in(server.url)
        policy = Policy(loopback_ports=frozenset({port}))
        async with Prober(policy=policy, resolver=asking(names)) as prober:
            url = f"ws://rebinding.test:{port}/"
            allowed = await prober.probe(spec(url, connection=Connection(family="ipv4")))
    assert allowed.ok, allowed
    assert allowed.address == f"127.0.0.1:{port}"
    assert names.asked == [("rebinding.test", "A")]


async def test_forbidden_addresses_of_a_name_are_left_out(unused_tcp_port: int) -> None:
    """One private address among others is not dialled, not even where the others fail: all that was is named."""
    policy = Policy(loopback_ports=frozenset({unused_tcp_port}))
    async with named(lambda _name: ["10.0.0.1", "127.0.0.1"], policy) as (prober, _):
        outcome = await prober.probe(spec(f"ws://mixed.test:{unused_tcp_port}/", deadline_s=10.0))
    assert outcome.detail == f"Connecting failed: 127.0.0.1:{unused_tcp_port}: Connection refused."


@pytest.mark.parametrize("option", [{"address": "127.0.0.1:22"}, {"proxy": "http://127.0.0.1:3128"}])
async def test_an_option_is_no_way_around_the_policy(option: dict[str, str]) -> None:
    """The node's address and the proxy's are dialled, so they are checked."""
    async with Prober(policy=Policy()) as prober:
        outcome = await prober.probe(spec("ws://93.184.216.34/", connection=Connection.from_json(option)))
    assert outcome.kind is FailureKind.POLICY_DENIED, outcome
    assert "127.0.0.1" in outcome.detail


async def test_a_proxy_is_no_way_around_the_policy() -> None:
    """What a proxy would dial is checked here first, and named to it as the address that was checked."""
    server = ChatServer()
    inner = {"inner.test": ["10.0.0.1"], "outer.test": ["127.0.0.1"]}
    async with server.run(), connect_proxy() as proxy, name_server(lambda name: inner[name]) as names:
        port = port_in(server.url)
        policy = Policy(loopback_ports=frozenset({proxy.port, port}))
        connection = Connection.from_json({"proxy": f"http://127.0.0.1:{proxy.port}"})
        async with Prober(policy=policy, resolver=asking(names)) as prober:
            denied = await prober.probe(spec(f"ws://inner.test:{port}/", connection=connection))
            allowed = await prober.probe(spec(f"ws://outer.test:{port}/", connection=connection))
    assert denied.kind is FailureKind.POLICY_DENIED, denied
    assert allowed.ok, allowed
    assert [head.split()[1] for head in proxy.seen] == [f"127.0.0.1:{port}"]


# Proxies. ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
async def test_a_target_is_reached_through_its_proxy(probe: Probe, certificates: Authority, secure: bool) -> None:
    """The name is the proxy's to resolve; TLS goes through to the target; no password is ever shown."""
    server = ChatServer()
    context = certificates.server_context("chat.example") if secure else None
    async with server.run(context), connect_proxy(resolve={"chat.example": "127.0.0.1"}) as proxy:
        port = port_in(server.url)
        option = {"proxy": f"http://user:hidden%2Fword@127.0.0.1:{proxy.port}"}
        outcome = await probe(
            f"ws{'s' if secure else ''}://chat.example:{port}/ws",
            ca_pem=certificates.pem,
            connection=Connection.from_json(option),
        )
    assert outcome.ok, outcome
    assert outcome.address == f"127.0.0.1:{proxy.port}"
    assert proxy.seen[0].startswith(f"CONNECT chat.example:{port} HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic dXNlcjpoaWRkZW4vd29yZA==\r\n" in proxy.seen[0]
    assert [frame.kind for frame in outcome.frames[:2]] == ["proxy", "proxy"]
    shown = str(outcome.to_message())
    assert "hidden" not in shown
    assert "dXNlcjpo" not in shown


async def test_a_proxy_that_repeats_our_password_is_not_quoted(probe: Probe) -> None:
    """Neither in the sentence nor in the transcript, in clear or in Base64."""
    answer = b"HTTP/1.1 403 user:hidden/word\r\nX-Got: dXNlcjpoaWRkZW4vd29yZA==\r\n\r\n"
    async with connect_proxy(answer=answer) as proxy:
        option = {"proxy": f"http://user:hidden%2Fword@127.0.0.1:{proxy.port}"}
        outcome = await probe("ws://chat.example/", connection=Connection.from_json(option))
    assert outcome.kind is FailureKind.PROXY_FAILED
    assert "[redacted]" in outcome.detail
    shown = str(outcome.to_message())
    assert "hidden" not in shown
    assert "dXNlcjpo" not in shown


PROXY_ANSWERS = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "user and a password"),
    "403": (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403 Forbidden"),
    "502": (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\nsorry", "HTTP 502 Bad Gateway"),
    "no HTTP": (b"220 mail.example ESMTP\r\n\r\n", "does not speak HTTP"),
    "endless headers": (b"HTTP/1.1 407 No\r\n" + b"X-More: and more\r\n" * 2_000, "longer than 16384 bytes"),
}


@pytest.mark.parametrize("name", PROXY_ANSWERS)
async def test_a_proxy_that_does_not_connect_us_is_told(probe: Probe, name: str) -> None:
    """Its status is the evidence, and the target is not blamed."""
    answer, words = PROXY_ANSWERS[name]
    async with asyncio.timeout(20), connect_proxy(answer=answer) as proxy:
        connection = Connection.from_json({"proxy": f"http://127.0.0.1:{proxy.port}"})
        outcome = await probe("ws://chat.example/", connection=connection, deadline_s=15.0)
    assert (outcome.kind, outcome.phase) == (FailureKind.PROXY_FAILED, "tcp"), outcome
    assert words in outcome.detail


async def test_a_proxy_that_is_away_silent_or_gone_is_told(probe: Probe, unused_tcp_port: int) -> None:
    """Refused, hung up, and never answered."""

    async def hangs_up(peer: Peer) -> None:
        await peer.request()

    async def silent(peer: Peer) -> None:
        await peer.silence()

    async def through(proxy_url: str, deadline_s: float = 10.0) -> Outcome:
        connection = Connection.from_json({"proxy": f"http://127.0.0.1:{port_in(proxy_url)}"})
        found: Outcome = await probe("ws://chat.example/", connection=connection, deadline_s=deadline_s)
        return found

    refused = await through(f"ws://127.0.0.1:{unused_tcp_port}/")
    async with hostile(hangs_up) as url:
        gone = await through(url)
    async with hostile(silent) as url:
        mute = await through(url, deadline_s=0.5)
    assert {each.kind for each in (refused, gone, mute)} == {FailureKind.PROXY_FAILED}
    assert "Connection refused" in refused.detail
    assert "hung up" in gone.detail
    assert "within 0.5 s" in mute.detail


async def test_what_follows_the_proxys_answer_is_the_targets(probe: Probe) -> None:
    """A target that speaks first is judged for it, even where its words come in one packet with the proxy's."""
    async with connect_proxy(answer=b"HTTP/1.1 200 OK\r\n\r\n220 mail.example ESMTP\r\n") as proxy:
        server = ChatServer()
        async with server.run():
            connection = Connection.from_json({"proxy": f"http://127.0.0.1:{proxy.port}"})
            outcome = await probe(server.url, connection=connection)
    assert (outcome.kind, outcome.phase) == (FailureKind.HANDSHAKE_INVALID, "upgrade"), outcome


def test_a_proxys_answer_is_judged_without_a_socket() -> None:
    """RFC 9110: any 2xx opens the tunnel."""
    assert judged(b"HTTP/1.1 204 Fine\r\n\r\n", complete=True, header_bytes=100).fault == ""
    assert judged(b"HTTP/2 200\r\n\r\n", complete=True, header_bytes=100).fault
    assert judged(b"HTTP/1.1 200 OK\r\n", complete=False, header_bytes=100).fault
