"""Names to addresses, asynchronously: a thread pool would let black-holed names starve every other probe."""

import asyncio
import socket
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain, zip_longest

import aiodns

LOCALHOST = ("127.0.0.1", "::1")
"""RFC 6761 section 6.3: this name is never asked for over the network. IPv4 first, as most test servers listen."""


class ResolutionError(OSError):
    """A name that could not be resolved; the message is the resolver's."""


class Resolver:
    """Resolves names with c-ares, which also reads /etc/hosts. One per event loop; close it."""

    def __init__(self) -> None:
        self._ares: aiodns.DNSResolver | None = None

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of `host` in the order to try them. Raises ResolutionError."""
        if literal := _literal(host):
            return (literal,)
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            return LOCALHOST
        if self._ares is None:
            self._ares = aiodns.DNSResolver(loop=asyncio.get_running_loop())
        try:
            found = await self._ares.getaddrinfo(host, port=port, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            raise ResolutionError(str(error.args[-1])) from error
        return interleave([_text(node.addr[0]) for node in found.nodes])

    async def close(self) -> None:
        if self._ares is not None:
            await self._ares.close()
            self._ares = None


def interleave(addresses: list[str]) -> tuple[str, ...]:
    """Alternate the families, beginning with the first address's (RFC 8305 section 4); each address once."""
    unique = list(dict.fromkeys(addresses))
    if not unique:
        return ()
    first_is_six = ":" in unique[0]
    ours = [address for address in unique if (":" in address) is first_is_six]
    others = [address for address in unique if (":" in address) is not first_is_six]
    return tuple(address for address in chain.from_iterable(zip_longest(ours, others)) if address is not None)


@lru_cache(maxsize=4096)
def _literal(host: str) -> str | None:
    try:
        return str(ip_address(host.partition("%")[0])) and host
    except ValueError:
        return None


def _text(address: bytes | str) -> str:
    return address.decode() if isinstance(address, bytes) else address
