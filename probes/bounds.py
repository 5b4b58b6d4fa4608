"""What the settings let a probe dial and read: one policy for scheduled probes, one for those run by hand."""

from django.conf import settings

from probes.engine.connection import OptionError, node_of
from probes.engine.guardrails import Limits, Policy
from probes.engine.names import literal_address
from probes.engine.script import ScriptError, endpoint

_LOCAL_NAME = "localhost"


def scheduled_policy() -> Policy:
    """What workers may dial: public addresses, the reference services, and what settings allow.

    Targets are added on a page, by people who need not have an account on this machine or in its network.
    """
    return Policy(
        allow_private=settings.PROBE_ALLOW_PRIVATE,
        loopback_ports=frozenset(settings.REFERENCE_PORTS),
        allowed=settings.PROBE_ALLOW,
    )


def by_hand_policy() -> Policy:
    """What `manage.py probe` may dial: private addresses too, unless PROBE_ALLOW_PRIVATE=0 was spoken."""
    return Policy(
        allow_private=settings.PROBE_BY_HAND_PRIVATE,
        loopback_ports=frozenset(settings.REFERENCE_PORTS),
        allowed=settings.PROBE_ALLOW,
    )


def limits() -> Limits:
    """How much one probe reads and keeps."""
    return Limits(
        header_bytes=settings.PROBE_MAX_HEADER_BYTES,
        message_bytes=settings.PROBE_MAX_MESSAGE_BYTES,
        total_bytes=settings.PROBE_MAX_TOTAL_BYTES,
        frames=settings.PROBE_MAX_FRAMES,
        transcript_chars=settings.TRANSCRIPT_BYTES,
        settle_s=settings.PROBE_SETTLE_MILLISECONDS / 1000,
        linger_s=settings.PROBE_LINGER_MILLISECONDS / 1000,
    )


def refused(url: str, address: str = "") -> str:
    """The rule that keeps scheduled probes from dialling a URL, as a sentence; "" where none is known.

    Only addresses written out are judged, and `localhost` (RFC 6761 section 6.3): what another name means, the worker
    learns when it probes. `address`: what is dialled in the URL's place. What cannot be read is judged elsewhere.
    """
    try:
        uri = endpoint(url.strip())
        host, port = node_of(address, uri.port) if address else (uri.host, uri.port)
    except (ScriptError, OptionError):
        return ""
    name = host.rstrip(".").lower()
    literal = "127.0.0.1" if name == _LOCAL_NAME or name.endswith(f".{_LOCAL_NAME}") else literal_address(host)
    return (scheduled_policy().denial(literal, port) or "") if literal else ""
