"""Which pages may open a live socket: only our own. Browsers send `Origin` on every handshake (RFC 6455)."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.http.request import validate_host

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]]


def is_own_page(headers: Sequence[tuple[bytes, bytes]], allowed_hosts: Sequence[str], public_url: str) -> bool:
    """Whether a handshake's Origin is this very server: the same host and port as it was asked for, or PUBLIC_URL.

    A handshake without Origin does not come from a page, and is refused: the socket speaks to pages only.
    """
    values = {name.lower(): value.decode("latin-1") for name, value in headers}
    origin, host = urlsplit(values.get(b"origin", "")), values.get(b"host", "")
    if origin.scheme not in ("http", "https") or not origin.hostname:
        return False
    public = urlsplit(public_url)
    if (origin.scheme, origin.netloc) == (public.scheme, public.netloc):
        return True
    return origin.netloc == host and validate_host(urlsplit(f"//{host}").hostname or "", allowed_hosts)


class OwnPagesOnly:
    """Refuses handshakes (HTTP 403) that another site's page started."""

    def __init__(self, application: Application, allowed_hosts: Sequence[str], public_url: str) -> None:
        self._application = application
        self._allowed_hosts = allowed_hosts
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if is_own_page(scope["headers"], self._allowed_hosts, self._public_url):
            await self._application(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 4403})
