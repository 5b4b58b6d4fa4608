"""Addresses of flag servers. Pure."""

from urllib.parse import urlsplit


def origin_of(url: str) -> str:
    """Scheme, host and port; "" of what is no HTTP address."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""
