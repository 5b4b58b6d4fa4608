"""The road to a target: options, nodes, names, families and certificates, all on real sockets."""

import asyncio
import errno
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from probes.engine.classification import connect_failed
from probes.engine.client import Prober
from probes.engine.connection import Connection, OptionError
from probes.engine.guardrails import Policy
from probes.engine.outcome import FailureKind
from probes.engine.script import TargetSpec
from tests.probes.engine.conftest import Probe
from tests.support.certificates import Authority
from tests.support.chat_server import ChatServer
from tests.support.hostile import Peer, black_hole, hostile, openssl_server
from tests.support.name_server import name_server
from tests.support.naming import asking, named, port_in, spec
from tests.support.waiting import await_until

# Options. ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mapping", "field", "words"),
    [
        ([], "connection", "mapping"),
        ({"familly": "ipv4"}, "familly", "family"),
        ({"family": "ipv5"}, "family", "any, ipv4, ipv6"),
        ({"family": 4}, "family", "quotes"),
        ({"address": "a b"}, "address", "host:port"),
        ({"address": "10.0.0.1:0"}, "address", "65535"),
        ({"address": "10.0.0.1:70000"}, "address", "65535"),
        ({"address": "[10.0.0.1]:80"}, "address", "[IPv6 address]:port"),
        ({"server_name": "no name"}, "server_name", "certificate"),
        ({"proxy": "https://proxy:3128"}, "proxy", "http://"),
        ({"proxy": "http://proxy:3128/path"}, "proxy", "host and a port"),
        ({"proxy": "http://:3128"}, "proxy", "no host"),
        ({"proxy": "http://proxy:port"}, "proxy", "http://host:port"),
        ({"client_pem": "x"}, "client_pem", "no certificate"),
        ({"client_pem": "-----BEGIN CERTIFICATE-----"}, "client_pem", "no private key"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_with_its_cure(mapping: Any, field: str, words: str) -> None:
    """Before anything is dialled."""
    with pytest.raises(OptionError) as caught:
        Connection.from_json(mapping)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_options_survive_json_and_do_not_print_their_secrets() -> None:
    """What is left at its default is left out."""
    given = {"family": "ipv6", "address": "[::1]:81", "server_name": "a.example", "proxy": "http://u:hidden-word@p:1"}
    connection = Connection.from_json(given)
    assert connection.to_json() == given
    assert Connection().to_json() == {}
    assert "hidden-word" not in repr(connection)
    message = spec("ws://h/", connection=connection).to_message()
    assert TargetSpec.from_message(message).connection == connection


def test_a_proxys_password_is_not_in_the_error_about_it() -> None:
    """Whoever reads the error need not know it."""
    with pytest.raises(OptionError) as caught:
        Connection.from_json({"proxy": "https://user:hidden-word@proxy:1"})
    assert "hidden-word" not in str(caught.value)


# One node behind a balancer. -----------------------------------------------------------------------------------------


async def test_a_node_is_dialled_in_place_of_the_urls_host(probe: Probe) -> None:
    """The request is the same as ever; the address is the node's, and it is recorded."""
    server = ChatServer()
    async with server.run():
        port = port_in(server.url)
        connection = Connection.from_json({"address": f"127.0.0.1:{port}"})
        outcome = await probe("ws://chat.example:8443/ws/chat", connection=connection)
    assert outcome.ok, outcome
    assert outcome.address == f"127.0.0.1:{port}"
    assert server.requests[0]["Host"] == "chat.example:8443"


async def test_a_nodes_certificate_is_verified_against_the_urls_host(probe: Probe, certificates: Authority) -> None:
    """Not against the node's address."""
    server = ChatServer()
    async with server.run(certificates.server_context("chat.example")):
        connection = Connection.from_json({"address": f"127.0.0.1:{port_in(server.url)}"})
        outcome = await probe("wss://chat.example/", ca_pem=certificates.pem, connection=connection)
    assert outcome.ok, outcome


async def test_another_server_name_is_asked_for_and_verified(probe: Probe, certificates: Authority) -> None:
    """In SNI, and in the certificate."""
    context = certificates.server_context("chat.example")
    asked: list[str] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    server = ChatServer()
    async with server.run(context):
        plain = await probe(server.url, ca_pem=certificates.pem)
        connection = Connection.from_json({"server_name": "chat.example"})
        named = await probe(server.url, ca_pem=certificates.pem, connection=connection)
    assert plain.kind is FailureKind.CERTIFICATE_NAME_MISMATCH
    assert named.ok, named
    assert asked[-1] == "chat.example"


async def test_what_a_verified_certificate_says_of_itself_is_part_of_the_outcome(
    probe: Probe, certificates: Authority
) -> None:
    """Name, issuer and dates; a target without TLS has none, and neither has one that was refused."""
    server = ChatServer()
    async with server.run(certificates.server_context(ends_days=30)):
        seen = (await probe(server.url, ca_pem=certificates.pem)).certificate
        refused = await probe(server.url)
    assert seen is not None
    assert (seen.subject, seen.issuer) == ("localhost", "Readywire test authority")
    assert timedelta(days=29) < seen.not_after - datetime.now(UTC) < timedelta(days=30)
    assert seen.not_before < datetime.now(UTC)
    assert refused.kind is FailureKind.TLS_FAILED
    assert refused.certificate is None
    plain = ChatServer()
    async with plain.run():
        assert (await probe(plain.url)).certificate is None


async def test_a_server_that_asks_for_a_certificate_gets_the_targets(probe: Probe, certificates: Authority) -> None:
    """Without one, the refusal is told as what it is, although TLS 1.3 tells it only after the handshake."""
    server = ChatServer()
    context = certificates.server_context(asks_client=True)
    with openssl_server(context) as url:
        without = await probe(url, ca_pem=certificates.pem)
    async with server.run(context):
        connection = Connection.from_json({"client_pem": certificates.client_pem()})
        outcome = await probe(server.url, ca_pem=certificates.pem, connection=connection)
    assert without.kind is FailureKind.TLS_FAILED, without
    assert "wants a client certificate" in without.detail
    assert outcome.ok, outcome


async def test_a_key_of_another_certificate_is_our_mistake(probe: Probe, certificates: Authority) -> None:
    """Nothing is dialled with it, and nothing of it is shown."""
    mine, other = certificates.client_pem(), certificates.client_pem("other")
    mixed = mine.partition("-----BEGIN PRIVATE")[0] + "-----BEGIN PRIVATE" + other.partition("-----BEGIN PRIVATE")[2]
    outcome = await probe("wss://127.0.0.1:1/", connection=Connection.from_json({"client_pem": mixed}))
    assert outcome.kind is FailureKind.PROBE_ERROR
    assert outcome.detail.startswith("client_pem:")
    assert "BEGIN" not in outcome.detail


# Names and families. -------------------------------------------------------------------------------------------------


async def test_only_the_family_asked_for_is_dialled(probe: Probe) -> None:
    """A name that lacks it is not resolved, as far as this target is concerned."""
    server = ChatServer()
    async with server.run():
        url = server.url.replace("127.0.0.1", "localhost")
        four = await probe(url, connection=Connection(family="ipv4"))
        six = await probe(server.url, connection=Connection(family="ipv6"))
    assert four.ok, four
    assert (six.kind, six.phase) == (FailureKind.DNS_FAILED, "dns")
    assert "no IPv6 address" in six.detail


async def test_a_family_alone_is_asked_for_alone() -> None:
    """The other's records are nobody's business then."""
    async with name_server(lambda _name: ["127.0.0.1", "::1"]) as names:
        resolver = asking(names)
        assert await resolver.resolve("chat.test", 80, "ipv6") == ("::1",)
        assert await resolver.resolve("chat.test", 80) == ("::1", "127.0.0.1")
        await resolver.close()
    assert names.asked[0] == ("chat.test", "AAAA")
    assert ("chat.test", "A") not in names.asked[:1]


async def test_an_answer_of_one_family_does_not_wait_for_the_silent_other() -> None:
    """RFC 8305 section 3. Name servers that drop AAAA questions exist; c-ares alone would wait for seconds."""

    async with name_server(lambda _name: ["127.0.0.1"], drops="AAAA") as names:
        resolver = asking(names)
        async with asyncio.timeout(1.5):  # c-ares' first retry comes after 2 s
            assert await resolver.resolve("chat.test", 80) == ("127.0.0.1",)
        await resolver.close()


async def test_a_name_without_records_says_so() -> None:
    """Which is no error of the name server."""
    async with named(lambda _name: []) as (prober, _):
        outcome = await prober.probe(spec("ws://empty.test/"))
    assert (outcome.kind, outcome.phase) == (FailureKind.DNS_FAILED, "dns")
    assert "empty.test" in outcome.detail


async def test_black_holed_names_delay_nobody_else() -> None:
    """A hundred names that nobody answers, and the others pass them by."""
    server = ChatServer()
    async with server.run(), named(lambda name: None if "dead" in name else ["127.0.0.1"]) as (prober, names):
        lost = [asyncio.create_task(prober.probe(spec(f"ws://dead{i}.test/", deadline_s=60.0))) for i in range(100)]
        await await_until(lambda: len(names.asked) >= 100, what="the name server was asked")
        port = port_in(server.url)
        found = [await prober.probe(spec(f"ws://chat{i}.test:{port}/")) for i in range(20)]
        assert not any(task.done() for task in lost)
        for task in lost:
            task.cancel()
        await asyncio.gather(*lost, return_exceptions=True)
    assert all(outcome.ok for outcome in found), found[0]


async def test_a_name_that_nobody_answers_for_ends_with_the_deadline() -> None:
    """As a failure of the name, not of the server."""
    async with named(lambda _name: None) as (prober, _names):
        outcome = await prober.probe(spec("ws://dead.test/", deadline_s=0.5))
    assert (outcome.kind, outcome.phase) == (FailureKind.DNS_FAILED, "dns")
    assert outcome.detail == "The name dead.test was not resolved within 0.5 s."


# Happy eyeballs. -----------------------------------------------------------------------------------------------------


def still_dialling() -> int:
    return sum(each.status == psutil.CONN_SYN_SENT for each in psutil.Process().net_connections("tcp"))


async def test_a_black_holed_family_is_passed_by_and_its_attempt_closed() -> None:
    """IPv6 never answers, IPv4 does: the address that connected is recorded."""
    server = ChatServer()
    async with server.run(), named(lambda _name: ["::1", "127.0.0.1"]) as (prober, _):
        port = port_in(server.url)
        with black_hole("::1", port):
            before = still_dialling()
            outcomes = [await prober.probe(spec(f"ws://chat.test:{port}/")) for _ in range(3)]
            await await_until(lambda: still_dialling() == before, what="the losers were closed")
    assert all(outcome.ok for outcome in outcomes), outcomes[0]
    assert {outcome.address for outcome in outcomes} == {f"127.0.0.1:{port}"}
    assert min(outcome.tcp_us or 0 for outcome in outcomes) >= 240_000, "the first attempt had its 250 ms"


async def test_a_refused_family_lets_the_next_begin_at_once(probe: Probe) -> None:
    """Nobody waits 250 ms for an answer that is there."""
    async with name_server(lambda _name: ["::1", "127.0.0.1"]) as names:
        server = ChatServer()
        async with server.run(), Prober(policy=Policy(allow_private=True), resolver=asking(names)) as prober:
            outcomes = [await prober.probe(spec(f"ws://chat.test:{port_in(server.url)}/")) for _ in range(5)]
    assert all(outcome.ok for outcome in outcomes)
    assert min(outcome.tcp_us or 0 for outcome in outcomes) < 200_000


async def test_every_address_that_failed_is_named(unused_tcp_port: int) -> None:
    """Both families refused: both are in the evidence."""
    async with named(lambda _name: ["::1", "127.0.0.1"]) as (prober, _names):
        outcome = await prober.probe(spec(f"ws://chat.test:{unused_tcp_port}/"))
    assert (outcome.kind, outcome.phase) == (FailureKind.CONNECT_REFUSED, "tcp")
    assert f"[::1]:{unused_tcp_port}: Connection refused" in outcome.detail
    assert f"127.0.0.1:{unused_tcp_port}: Connection refused" in outcome.detail


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([errno.ECONNREFUSED, errno.ENETUNREACH], FailureKind.CONNECT_REFUSED),
        ([errno.ECONNRESET, errno.ETIMEDOUT], FailureKind.CONNECTION_RESET),
        ([errno.ENETUNREACH], FailureKind.CONNECT_TIMEOUT),
        ([errno.EMFILE, errno.EHOSTUNREACH], FailureKind.CONNECT_TIMEOUT),
        ([errno.EMFILE], FailureKind.PROBE_ERROR),
        ([errno.EADDRNOTAVAIL], FailureKind.PROBE_ERROR),
    ],
)
def test_what_kept_us_from_asking_is_never_charged_to_the_target(errors: list[int], kind: FailureKind) -> None:
    """No free port, no file descriptor: ours. Refused says more than unreachable."""
    found = connect_failed({f"10.0.0.{i}:80": OSError(number, "") for i, number in enumerate(errors)})
    assert found.kind is kind
    assert all(os.strerror(number) in found.detail for number in errors)


# Certificates. -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"expired": True}, FailureKind.CERTIFICATE_EXPIRED, "has expired"),
        ({"early": True}, FailureKind.CERTIFICATE_EXPIRED, "is not valid yet"),
        ({"name": "elsewhere.example"}, FailureKind.CERTIFICATE_NAME_MISMATCH, "for elsewhere.example"),
    ],
)
async def test_a_refused_certificate_tells_its_dates_and_names(
    probe: Probe, certificates: Authority, options: dict[str, Any], kind: FailureKind, words: str
) -> None:
    """The evidence that an on-call engineer would otherwise fetch with openssl."""

    async def silent(peer: Peer) -> None:
        await peer.silence()

    async with hostile(silent, certificates.server_context(**options)) as url:
        outcome = await probe(url, ca_pem=certificates.pem)
    assert (outcome.kind, outcome.phase) == (kind, "tls"), outcome
    assert words in outcome.detail
    assert "The certificate served: valid 20" in outcome.detail
    assert "issued by Readywire test authority" in outcome.detail
