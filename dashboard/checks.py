"""What `manage.py check` says about settings that contradict each other. Pure over values; registered at the end."""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.http.request import validate_host


def check_public_url(public_url: str, allowed_hosts: Sequence[str]) -> list[CheckMessage]:
    """Sign-in links must lead to an address that answers, and not cross a network in clear."""
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        hint = "Write it as https://host[:port]."
        return [checks.Error(f"PUBLIC_URL={public_url!r} is no address.", hint=hint, id="readywire.E001")]
    found: list[CheckMessage] = []
    if not validate_host(f"[{host}]" if ":" in host else host, allowed_hosts):
        hint = f"Add {host} to ALLOWED_HOSTS."
        found.append(checks.Error(f"Sign-in links lead to {host}, which is refused.", hint=hint, id="readywire.E002"))
    if parts.scheme == "http" and not _is_loopback(host):
        hint = "Put the server behind TLS, and give PUBLIC_URL with https://."
        message = "Sign-in links and sessions cross the network in clear."
        found.append(checks.Warning(message, hint=hint, id="readywire.W001"))
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@checks.register(checks.Tags.security)
def check_settings(**_: Any) -> list[CheckMessage]:
    return check_public_url(settings.PUBLIC_URL, settings.ALLOWED_HOSTS)
