"""Opens the connection of a probe: name, policy, happy eyeballs, proxy. What it finds wrong is a Finding.

Only an address that the policy has allowed is dialled, and it is dialled as the address that was checked, never as the
name it came from: a name that resolves differently a moment later (DNS rebinding) changes nothing.
"""

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address

from probes.engine import classification, proxying
from probes.engine.classification import Finding, Phase
from probes.engine.clock import SO_TIMESTAMPNS
from probes.engine.connection import Proxy, node_of, proxy_of
from probes.engine.eyeballs import Race
from probes.engine.guardrails import Policy
from probes.engine.names import ResolutionError, Resolver, literal_address
from probes.engine.outcome import FailureKind
from probes.engine.script import TargetSpec, endpoint
from probes.engine.session import Session
from probes.engine.tls import described, unverified_context

_LOOK_S = 1.0

Mark = Callable[[str], None]
Note = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connected non-blocking socket, and the address at its far end: the target's, or its proxy's."""

    sock: socket.socket
    address: str
    port: int

    @property
    def shown(self) -> str:
        return shown_address(self.address, self.port)


class _OpeningError(Exception):
    """The connection cannot be opened; carries why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.finding = finding


class DialError(OSError):
    """No address of several answered; `errors` by address."""

    def __init__(self, errors: Mapping[str, OSError]) -> None:
        super().__init__("no address answered")
        self.errors = errors


class Dialler:
    """Opens connections for the probes of one event loop."""

    def __init__(self, resolver: Resolver, policy: Policy, header_bytes: int) -> None:
        """`header_bytes`: how long a proxy's answer may be."""
        self.resolver = resolver
        self.policy = policy
        self.header_bytes = header_bytes

    async def open(self, session: Session) -> Dialled | None:
        """Open the session's connection before its deadline; None where the session has failed."""

        def mark(name: str) -> None:
            session.mark(name, time.monotonic_ns())

        def note(direction: str, text: str) -> None:
            now = time.monotonic_ns()
            session.transcript.note(now, now, direction, "proxy", text)

        begun = self._at_once(session)
        if isinstance(begun, Dialled):
            return begun
        opening = _Opening(self, session.spec, mark, note, begun=begun)
        try:
            async with asyncio.timeout_at(session.deadline / 1e9):
                return await opening.run()
        except TimeoutError:
            session.timed_out = True
            session.fail(opening.timed_out())
        except _OpeningError as failed:
            session.fail(failed.finding)
        return None

    def _at_once(self, session: Session) -> Dialled | socket.socket | None:
        """Begin where nobody need be waited for: the URL names one address, and it may be dialled.

        Connected where it answers immediately; else the socket that waits for its answer; None where all is still to
        be done, a first try that failed included: whoever goes on meets its error again, and says so.
        """
        direct = session.prepared.direct
        if direct is None or self.policy.denial(*direct) is not None:
            return None
        session.mark("dns_done", time.monotonic_ns())
        sock = None
        with contextlib.suppress(OSError):
            sock = _begin(*direct)
            sock.getpeername()
            session.mark("tcp_done", time.monotonic_ns())
            return Dialled(sock, *direct)
        return sock

    async def look(self, session: Session, address: str) -> None:
        """Tell of a certificate that was refused what it says of itself, in the finding that refused it.

        TLS libraries do not hand over a certificate that they refuse, so this takes one more connection to `address`,
        over which nothing is sent. Where it cannot be had before the deadline, the finding stays as it is.
        """
        refused = next((each for each in session.findings if each.certificate_refused), None)
        if refused is None:
            return
        seen = ""
        until = min(session.deadline / 1e9, time.monotonic() + _LOOK_S)
        with contextlib.suppress(TimeoutError, OSError, _OpeningError):
            async with asyncio.timeout_at(until):
                seen = await self._certificate(session.spec, address)
        if seen:
            told = replace(refused, detail=f"{refused.detail} The certificate served: {seen}.")
            session.findings[session.findings.index(refused)] = told

    async def _certificate(self, spec: TargetSpec, address: str) -> str:
        opening = _Opening(self, spec, lambda _name: None, lambda _direction, _text: None, only=address)
        sock = (await opening.run()).sock
        try:
            transport, _protocol = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, sock=sock, ssl=unverified_context(), server_hostname=server_name(spec)
            )
        except BaseException:
            sock.close()
            raise
        try:
            return described(transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b"")
        finally:
            transport.abort()


class _Opening:
    """One connection being opened: where it is, and whom it waits for."""

    def __init__(
        self, dialler: Dialler, spec: TargetSpec, mark: Mark, note: Note, *,
        only: str = "", begun: socket.socket | None = None,
    ) -> None:  # fmt: skip
        """`only`: of the addresses found, dial this one alone. `begun`: already connecting to the only address."""
        self._dialler = dialler
        self._spec = spec
        self._mark = mark
        self._note = note
        self._only = only
        self._stage, self._subject = Phase.DNS, ""
        self._proxied = self._connected = False
        self._begun = begun

    async def run(self) -> Dialled:
        """Connect. Raises _OpeningError."""
        host, port = node(self._spec)
        if not self._spec.connection.proxy:
            return await self._dial(host, port)
        proxy = proxy_of(self._spec.connection.proxy)
        target = await self._named(host, port)
        self._proxied = True
        try:
            return await self._through(proxy, target, port)
        except _OpeningError as failed:
            if failed.finding.kind.ours:
                raise
            raise _OpeningError(classification.proxy_failed(failed.finding.phase, failed.finding.detail)) from failed

    def timed_out(self) -> Finding:
        """The deadline passed at this point."""
        found = classification.stage_timed_out(self._stage, self._spec.deadline_s, self._subject)
        if not self._proxied:
            return found
        unanswered = f"It did not answer CONNECT within {self._spec.deadline_s:g} s."
        return classification.proxy_failed(found.phase, unanswered if self._connected else found.detail)

    async def _dial(self, host: str, port: int) -> Dialled:
        allowed = await self._allowed(host, port)
        if self._begun is None:
            self._mark("dns_done")
        dialled = await self._race(allowed, port)
        self._mark("tcp_done")
        return dialled

    async def _race(self, addresses: Sequence[str], port: int) -> Dialled:
        chosen = [self._only] if self._only in addresses else addresses
        self._stage, self._subject = Phase.TCP, ", ".join(shown_address(each, port) for each in chosen)
        try:
            sock, address = await dial(chosen, port, self._begun)
        except DialError as error:
            said = {shown_address(address, port): each for address, each in error.errors.items()}
            raise _OpeningError(classification.connect_failed(said)) from error
        return Dialled(sock, address, port)

    async def _named(self, host: str, port: int) -> str:
        """What the proxy is asked for: the name where any address may be dialled, else an address that was checked."""
        if self._dialler.policy.allow_private and literal_address(host) is None:
            return host
        return (await self._allowed(host, port))[0]

    async def _through(self, proxy: Proxy, target: str, port: int) -> Dialled:
        allowed = await self._allowed(proxy.host, proxy.port)
        self._mark("dns_done")
        dialled = await self._race(allowed, proxy.port)
        authority = f"[{target}]:{port}" if ":" in target else f"{target}:{port}"
        self._connected = True
        try:
            await self._tunnel(dialled.sock, authority, proxy.authorization)
        except BaseException:
            dialled.sock.close()
            raise
        self._mark("tcp_done")
        return dialled

    async def _tunnel(self, sock: socket.socket, authority: str, authorization: str) -> None:
        self._note("out", f"CONNECT {authority}")
        try:
            answer = await proxying.tunnel(sock, authority, authorization, self._dialler.header_bytes)
        except TimeoutError:
            raise
        except OSError as error:
            fault = f"It hung up instead of answering CONNECT: {error}."
            raise _OpeningError(Finding(FailureKind.PROXY_FAILED, Phase.TCP, fault)) from error
        self._note("in", answer.shown)
        if answer.fault:
            raise _OpeningError(Finding(FailureKind.PROXY_FAILED, Phase.TCP, f"{answer.fault}."))

    async def _allowed(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a host that may be dialled; at least one. Raises _OpeningError."""
        self._stage, self._subject = Phase.DNS, host
        family = self._spec.connection.family
        try:
            addresses = await self._dialler.resolver.resolve(host, port, family)
        except ResolutionError as error:
            raise _OpeningError(_dns(f"The name {host} was not resolved: {error}.")) from error
        if not addresses:
            wanted = "" if family == "any" else f"{family.replace('ip', 'IP')} "
            raise _OpeningError(_dns(f"{host} has no {wanted}address."))
        denials = {address: self._dialler.policy.denial(address, port) for address in addresses}
        allowed = tuple(address for address, rule in denials.items() if rule is None)
        if not allowed:
            rules = "; ".join(rule for rule in denials.values() if rule)
            raise _OpeningError(Finding(FailureKind.POLICY_DENIED, Phase.DNS, f"Not dialled: {rules}."))
        return allowed


def _dns(detail: str) -> Finding:
    return Finding(FailureKind.DNS_FAILED, Phase.DNS, detail)


async def dial(addresses: Sequence[str], port: int, begun: socket.socket | None = None) -> tuple[socket.socket, str]:
    """Connect to the first address that answers (see `eyeballs.Race`); what loses is closed.

    `begun`: a socket that is already connecting to the only address. Returns the connected non-blocking socket and its
    address. Raises DialError where none answers.
    """
    if len(addresses) == 1:
        try:
            return await _connect(addresses[0], port, begun), addresses[0]
        except OSError as error:
            raise DialError({addresses[0]: error}) from error
    return await _dial_several(addresses, port)


async def _dial_several(addresses: Sequence[str], port: int) -> tuple[socket.socket, str]:
    now = asyncio.get_running_loop().time
    race = Race(addresses)
    attempts: dict[asyncio.Task[socket.socket], str] = {}
    errors: dict[str, OSError] = {}
    try:
        while not race.lost:
            if (address := race.due(now())) is not None:
                attempts[asyncio.create_task(_connect(address, port))] = address
            pause = None if race.next_at is None else max(0.0, race.next_at - now())
            done, _ = await asyncio.wait(attempts, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                failure = attempt.exception()
                if failure is not None and not isinstance(failure, OSError):
                    raise failure
                address = attempts.pop(attempt)
                if failure is None:
                    return attempt.result(), address
                errors[address] = failure
                race.failed(address, now())
    finally:
        _abandon(attempts)
    raise DialError(errors)


def _abandon(attempts: Mapping[asyncio.Task[socket.socket], str]) -> None:
    for attempt in attempts:
        attempt.cancel()
        attempt.add_done_callback(_close_late_winner)


def _close_late_winner(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


async def _connect(address: str, port: int, begun: socket.socket | None = None) -> socket.socket:
    sock = _begin(address, port) if begun is None else begun
    try:
        await _writable(sock)
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


def _begin(address: str, port: int) -> socket.socket:
    """A non-blocking socket that has begun to connect. Raises OSError where that fails at once."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # an older kernel: the marks fall back to the monotonic clock
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        error = sock.connect_ex((address, port))
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock.fileno(), _tell, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock.fileno())


def _tell(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


def node(spec: TargetSpec) -> tuple[str, int]:
    """Host and port that are dialled."""
    uri = endpoint(spec.url)
    return node_of(spec.connection.address, uri.port) if spec.connection.address else (uri.host, uri.port)


def server_name(spec: TargetSpec) -> str:
    """The name to ask for in TLS and to verify the certificate against.

    IDNA is done by the URL parser; a zone index never belongs to it.
    """
    return spec.connection.server_name or endpoint(spec.url).host.partition("%")[0]


@lru_cache(maxsize=4096)
def shown_address(address: str, port: int) -> str:
    """An address and port as people write them."""
    return f"[{address}]:{port}" if ip_address(address.partition("%")[0]).version == 6 else f"{address}:{port}"
