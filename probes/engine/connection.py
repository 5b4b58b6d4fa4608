"""How a target is reached where its URL alone does not say it: validated options, no sockets.

The defaults are what the URL says. Whatever is given here changes the road to the target, never the request: the URL's
host stays the `Host` header, and the URL's path and query stay what is asked for.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

Family = Literal["any", "ipv4", "ipv6"]

_MAX_PEM_CHARS = 65_536
_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\.?")
_PROXY_PORT = 80


class OptionError(ValueError):
    """An option of a connection that cannot be used: names the field, the fault and the cure."""

    def __init__(self, field_name: str, fault: str, cure: str) -> None:
        super().__init__(f"{field_name}: {fault}. {cure}")
        self.field = field_name
        self.fault = fault
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT (RFC 9110 section 9.3.6)."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)
    """The value of `Proxy-Authorization`; empty: none is sent."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The options. Make it with `from_json`, which validates; the plain constructor takes what is already valid."""

    family: Family = "any"
    """Which addresses of a name are dialled: any (RFC 8305 decides), ipv4 or ipv6."""
    address: str = ""
    """`host`, `host:port` or `[IPv6]:port` that is dialled in place of the URL's: one node behind a balancer."""
    server_name: str = ""
    """The name asked for in TLS (SNI) and looked for in the certificate, in place of the URL's host."""
    proxy: str = field(default="", repr=False)
    """`http://[user:password@]host[:port]`: reach the target through this proxy, by CONNECT."""
    client_pem: str = field(default="", repr=False)
    """Our certificate, those between it and the authority, and its unencrypted private key (PEM)."""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without what is left at its default; `from_json` reverses it. Holds secrets in clear."""
        return {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULT, name)}

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> "Connection":
        """Validated options; absent fields take their defaults. Raises OptionError, which never repeats a secret."""
        if not isinstance(mapping, Mapping):
            raise OptionError("connection", f"must be a mapping, not {type(mapping).__name__}", "Write field: value")
        known = [each.name for each in fields(cls)]
        for name, value in mapping.items():
            if name not in known:
                raise OptionError(str(name), "is no option of a connection", f"Use {', '.join(known)}")
            if not isinstance(value, str):
                raise OptionError(name, f"must be text, not {type(value).__name__}", "Put it in quotes")
            _CHECKS[name](value)
        return cls(**{**mapping, "family": _family(mapping.get("family", "any"))})

    def secrets(self) -> set[str]:
        """What a transcript must not show."""
        if not self.proxy:
            return set()
        parts = urlsplit(self.proxy)
        plain = {unquote(parts.password or ""), parts.password or ""}
        return (plain | {proxy_of(self.proxy).authorization.rpartition(" ")[2]}) - {""}


def _family(value: str) -> Family:
    for family in get_args(Family):
        if value == family:
            return value  # type: ignore[return-value]  # mypy does not narrow by comparison with get_args' values
    raise OptionError("family", f"{value[:40]!r} is no address family", f"Use {', '.join(get_args(Family))}")


def node_of(address: str, port: int) -> tuple[str, int]:
    """Host and port of an `address` option; `port` where it names none. Raises OptionError."""
    cure = "Write host, host:port, or [IPv6 address]:port"
    bare = address.removeprefix("[").removesuffix("]")
    if _is_six(bare):
        return bare, port
    host, colon, digits = address.rpartition(":") if ":" in address else (address, "", "")
    if colon:
        if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and 0 < int(digits) < 65_536):
            raise OptionError("address", "its port lies not between 1 and 65535", cure)
        port = int(digits)
    if host.startswith("[") and host.endswith("]") and _is_six(host[1:-1]):
        return host[1:-1], port
    if not _HOST_NAME.fullmatch(host):
        raise OptionError("address", f"{address[:80]!r} is neither a host name nor an address", cure)
    return host, port


@lru_cache(maxsize=256)
def proxy_of(url: str) -> Proxy:
    """The parts of a `proxy` option. Raises OptionError."""
    cure = "Write http://host:port or http://user:password@host:port"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise OptionError("proxy", "is no URL", cure) from error
    if parts.scheme != "http":
        raise OptionError("proxy", "must begin with http:// (TLS to the proxy is not spoken)", cure)
    if parts.path.strip("/") or parts.query or parts.fragment or re.search(r"[\x00-\x20\x7f]", url):
        raise OptionError("proxy", "holds more than a host and a port", cure)
    if not host or not (_HOST_NAME.fullmatch(host) or _is_six(host)) or port == 0:
        raise OptionError("proxy", "names no host or no usable port", cure)
    if parts.username is None:
        return Proxy(host, port or _PROXY_PORT)
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port or _PROXY_PORT, "Basic " + base64.b64encode(pair.encode()).decode())


def _check_address(value: str) -> None:
    if value:
        node_of(value, 1)


def _check_server_name(value: str) -> None:
    if value and not (_HOST_NAME.fullmatch(value) or _is_six(value)):
        raise OptionError("server_name", f"{value[:80]!r} is no host name", "Write the name in the certificate")


def _check_proxy(value: str) -> None:
    if value:
        proxy_of(value)


def _check_client_pem(value: str) -> None:
    if not value:
        return
    cure = "Paste the certificate and its private key, one after the other, as PEM"
    if len(value) > _MAX_PEM_CHARS:
        raise OptionError("client_pem", f"is longer than {_MAX_PEM_CHARS} characters", cure)
    if "-----BEGIN CERTIFICATE-----" not in value:
        raise OptionError("client_pem", "holds no certificate", cure)
    if "PRIVATE KEY-----" not in value:
        raise OptionError("client_pem", "holds no private key", cure)
    if "ENCRYPTED" in value:
        raise OptionError("client_pem", "its private key has a passphrase", "Take it off: the key is stored encrypted")


def _is_six(text: str) -> bool:
    try:
        return isinstance(ip_address(text), IPv6Address)
    except ValueError:
        return False


_DEFAULT = Connection()
_CHECKS = {
    "family": _family,
    "address": _check_address,
    "server_name": _check_server_name,
    "proxy": _check_proxy,
    "client_pem": _check_client_pem,
}
