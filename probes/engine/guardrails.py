"""Which addresses a probe may dial, and how much it reads. A rule is pure: names are resolved elsewhere.

The address that is checked is the address that is dialled, so a name that resolves differently a moment later (DNS
rebinding) changes nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# The instance metadata services hand credentials to whoever asks from inside: AWS, GCP and Azure share the first;
# AWS and GCP over IPv6; Alibaba; Oracle; Azure's wire server, which has a public address.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    )
)  # fmt: skip
_ALSO_PRIVATE = (ip_network("100.64.0.0/10"), ip_network("fec0::/10"))  # carriers' NAT; site-local, RFC 3879
# IPv6 addresses that end in the IPv4 address they reach: NAT64 (RFC 6052, RFC 8215), translated (RFC 2765), compatible
# (RFC 4291 section 2.5.5.1).
_ENDING_IN_FOUR = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")))
_UNSPECIFIED_OR_LOOPBACK = 1
_CURE = "Write networks or addresses by comma, for example 10.0.0.0/8, 127.0.0.1:9000, [fd12::1]:443"


@dataclass(frozen=True, slots=True)
class Allowance:
    """Addresses that may be dialled although they are private: a network, on one port or on all (None)."""

    network: IPv4Network | IPv6Network
    port: int | None = None

    def covers(self, ip: IPv4Address | IPv6Address, port: int) -> bool:
        return self.port in (None, port) and ip in self.network


def allowances(text: str) -> tuple[Allowance, ...]:
    """Reads PROBE_ALLOW: networks and addresses by comma, each with or without `:port`.

    Raises ValueError for host names (an address is what is judged), and for what no setting opens.
    """
    return tuple(_allowance(word.strip()) for word in text.split(",") if word.strip())


def _allowance(word: str) -> Allowance:
    where, port = word, None
    if word.startswith("[") or word.count(":") == 1:
        where, colon, digits = word.rpartition(":") if not word.endswith("]") else (word, "", "")
        if colon:
            if not (digits.isascii() and digits.isdigit() and 0 < int(digits) < 65_536):
                raise ValueError(f"{word!r} names no port between 1 and 65535. {_CURE}")
            port = int(digits)
        where = where.removeprefix("[").removesuffix("]")
    try:
        network = ip_network(where)
    except ValueError as error:
        raise ValueError(f"{word!r} is neither a network nor an address ({error}). {_CURE}") from None
    if network.is_link_local or network.is_multicast or (network.num_addresses == 1 and network[0] in _METADATA):
        raise ValueError(f"{word!r} is a link-local, multicast or metadata address: probes never dial those")
    return Allowance(network, port)


@dataclass(frozen=True, slots=True)
class Policy:
    """Which addresses may be dialled. Public ones always; private and loopback ones where allowed."""

    allow_private: bool = False
    """Private, shared (RFC 6598) and loopback addresses too. Link-local and metadata addresses stay refused."""
    loopback_ports: frozenset[int] = frozenset()
    """Ports that may be dialled on loopback even where `allow_private` is false."""
    allowed: tuple[Allowance, ...] = ()
    """Private addresses that may be dialled even where `allow_private` is false."""

    def denial(self, address: str, port: int) -> str | None:
        """The rule that forbids dialling `address` (an IP literal), as a sentence; None where it is allowed.

        Raises ValueError where `address` is no IP literal.
        """
        ip = _reached(address)
        if ip in _METADATA:
            return f"{address} is a cloud metadata address; probes never dial those"
        if ip.is_multicast or ip.is_link_local:
            return f"{address} is a {'multicast' if ip.is_multicast else 'link-local'} address; probes never dial those"
        sort = _sort(ip)
        if not sort or self.allow_private or any(each.covers(ip, port) for each in self.allowed):
            return None
        if sort == "loopback" and port in self.loopback_ports:
            return None
        return f"{address} is a {sort} address; allow it in PROBE_ALLOW, or all such with PROBE_ALLOW_PRIVATE=1"


def _sort(ip: IPv4Address | IPv6Address) -> str:
    """What keeps an address from being dialled without leave; "" for public ones."""
    if ip.is_loopback or ip.is_unspecified:
        return "loopback"
    return "private" if ip.is_private or ip.is_reserved or any(ip in network for network in _ALSO_PRIVATE) else ""


@lru_cache(maxsize=4096)
def _reached(address: str) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one that reaches it (mapped, 6to4, NAT64, ...), else the address itself."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip.sixtofour is not None:
            return ip.sixtofour
        if int(ip) > _UNSPECIFIED_OR_LOOPBACK and any(ip in network for network in _ENDING_IN_FOUR):
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one probe reads and keeps. What exceeds a limit ends the probe; the deadline bounds the time."""

    header_bytes: int = 16_384
    message_bytes: int = 1_048_576
    total_bytes: int = 16_777_216
    frames: int = 10_000
    transcript_chars: int = 16_384
    settle_s: float = 0.25
    """How long to wait for stragglers once the last event came while others are absent: tells reordered from lost."""
    linger_s: float = 1.0
    """How long a finished socket waits for the peer's EOF, in the background. The peer closes TCP first (RFC 6455
    section 7.1.1), so that TIME_WAIT does not eat the prober's ports."""
