"""Names to addresses, asynchronously: a thread pool would let black-holed names starve every other probe."""

import asyncio
import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

import aiodns

from probes.engine.connection import Family
from probes.engine.eyeballs import RESOLUTION_DELAY_S, interleave

LOCALHOST = ("127.0.0.1", "::1")
"""RFC 6761 section 6.3: this name is never asked for over the network. IPv4 first, as most test servers listen."""

_FAMILIES = {"ipv6": socket.AF_INET6, "ipv4": socket.AF_INET}


class ResolutionError(OSError):
    """A name that could not be resolved; the message is the resolver's."""


class Resolver:
    """Resolves names with c-ares, which also reads /etc/hosts. One per event loop; close it."""

    def __init__(self, name_servers: Sequence[str] = (), port: int = 53) -> None:
        """`name_servers`: addresses to ask in place of the machine's own; `port`: theirs."""
        self._ares: aiodns.DNSResolver | None = None
        self._servers = list(name_servers)
        self._port = port

    async def resolve(self, host: str, port: int, family: Family = "any") -> tuple[str, ...]:
        """The addresses of `host` in the order to try them; empty where it has none of that family.

        Raises ResolutionError.
        """
        if literal := literal_address(host):
            return of_family((literal,), family)
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return of_family(LOCALHOST, family)
        if family != "any":
            return tuple(await self._ask(host, port, _FAMILIES[family]))
        return await self._ask_both(host, port)

    async def close(self) -> None:
        if self._ares is not None:
            await self._ares.close()
            self._ares = None

    async def _ask_both(self, host: str, port: int) -> tuple[str, ...]:
        """RFC 8305 section 3: both families at once; the first answer waits only a moment for the other."""
        questions = [asyncio.ensure_future(self._ask(host, port, family)) for family in _FAMILIES.values()]
        try:
            await asyncio.wait(questions, return_when=asyncio.FIRST_COMPLETED)
            if any(_answered(question) for question in questions):
                await asyncio.wait(questions, timeout=RESOLUTION_DELAY_S)
            else:
                await asyncio.wait(questions)
            found = [address for question in questions if _answered(question) for address in question.result()]
            errors = [error for question in questions if question.done() and (error := question.exception())]
            if not found and errors:
                raise errors[-1]
            return interleave(found)
        finally:
            for question in questions:
                question.cancel()

    async def _ask(self, host: str, port: int, family: socket.AddressFamily) -> list[str]:
        if self._ares is None:
            self._ares = self._channel()
        try:
            found = await self._ares.getaddrinfo(host, port=port, type=socket.SOCK_STREAM, family=family)
        except aiodns.error.DNSError as error:
            if error.args[0] == aiodns.error.ARES_ENODATA:
                return []
            raise ResolutionError(str(error.args[-1])) from error
        return list(dict.fromkeys(_text(node.addr[0]) for node in found.nodes))

    def _channel(self) -> aiodns.DNSResolver:
        loop = asyncio.get_running_loop()
        if not self._servers:
            return aiodns.DNSResolver(loop=loop)
        return aiodns.DNSResolver(self._servers, loop=loop, udp_port=self._port, tcp_port=self._port)


def of_family(addresses: Sequence[str], family: Family) -> tuple[str, ...]:
    """Those addresses that are of the family."""
    return tuple(each for each in addresses if family == "any" or (":" in each) == (family == "ipv6"))


@lru_cache(maxsize=4096)
def literal_address(host: str) -> str | None:
    """`host` where it is an address and no name."""
    try:
        return str(ip_address(host.partition("%")[0])) and host
    except ValueError:
        return None


def _answered(question: "asyncio.Future[list[str]]") -> bool:
    return question.done() and question.exception() is None and bool(question.result())


def _text(address: bytes | str) -> str:
    return address.decode() if isinstance(address, bytes) else address
