"""The web process: static files, programs' requests and the live socket beside Django's handler, which serves pages."""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.core.asgi import get_asgi_application
from servestatic import ServeStaticASGI

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
django_application = get_asgi_application()

# Imported after Django is set up: they reach models.
from dashboard.api.short_way import short_way  # noqa: E402
from dashboard.live.consumer import LiveConsumer  # noqa: E402
from dashboard.live.origin import OwnPagesOnly  # noqa: E402
from dashboard.revisions import watcher  # noqa: E402
from dashboard.static_files import WholeOrNotFound  # noqa: E402

LIVE_PATH = "/ws/live/"
_refuse: Any = WebsocketDenier.as_asgi()
_signed_in: Any = AuthMiddlewareStack(LiveConsumer.as_asgi())
_live: Any = OwnPagesOnly(_signed_in, settings.ALLOWED_HOSTS, settings.PUBLIC_URL)


async def websocket(scope: Any, receive: Any, send: Any) -> None:
    """The live socket; every other path is refused."""
    await (_live if scope["path"] == LIVE_PATH else _refuse)(scope, receive, send)


_files: Any = WholeOrNotFound(
    ServeStaticASGI(None, root=settings.STATIC_ROOT, prefix=settings.STATIC_URL, allow_all_origins=False)
)
_other: Any = short_way(django_application)


async def http(scope: Any, receive: Any, send: Any) -> None:
    """Static files from memory of what there was at the start; programs the short way; pages through Django."""
    is_file = scope["path"].startswith(settings.STATIC_URL)
    if not is_file:
        # Also where only pages are looked at: its clock ends kills and steps ramps.
        watcher()
    await (_files if is_file else _other)(scope, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": websocket})
