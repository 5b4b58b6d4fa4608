"""Who asks: server keys in a header, and the stream credential in an address."""

import time
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import HttpRequest

from connections.flags import keys, ofrep
from connections.flags.keys import Holder
from dashboard.api.endpoint import Refused
from dashboard.api.rate import TokenBucket
from dashboard.revisions import Watcher, watcher

BURST_SECONDS = 2
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="readywire"'}
_buckets: WeakKeyDictionary[Watcher, dict[int, TokenBucket]] = WeakKeyDictionary()


async def server(request: HttpRequest) -> Holder:
    """The holder of the server key in `Authorization: Bearer` or `X-API-Key`.

    Raises Refused: 401 without a key that works, 403 for a credential of another kind, 429 above the key's rate.
    """
    key = _key(request)
    if key and not key.startswith(keys.START):
        raise Refused(403, "This is no server key. Make one with: manage.py server_key create")
    holder = await watcher().holder(key) if key else None
    if holder is None:
        raise Refused(401, "A server key that works is needed: Authorization: Bearer KEY", headers=_CHALLENGE)
    _limit(holder)
    return holder


async def watched_server(request: HttpRequest) -> Holder:
    """The same, for what only a watched server may: 403 for a read-only key."""
    holder = await server(request)
    if holder.read_only:
        raise Refused(403, "This key is read-only: it evaluates flags over OFREP, and sees no definitions.")
    return holder


async def stream(request: HttpRequest) -> Holder:
    """The holder for an event stream: the credential in `?token=`, or a server key in a header. Raises Refused."""
    token = request.GET.get("token")
    if not token:
        return await server(request)
    holder = await watcher().stream_holder(token)
    if holder is None:
        raise Refused(401, "This event stream's credential no longer works.", headers=_CHALLENGE)
    _limit(holder)
    return holder


def _key(request: HttpRequest) -> str:
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip():
        return credential.strip()
    return request.headers.get("X-API-Key", "").strip()


def _limit(holder: Holder) -> None:
    rate = settings.SERVER_KEY_REQUESTS_PER_SECOND
    buckets = _buckets.setdefault(watcher(), {})
    bucket = buckets.setdefault(holder.key_id, TokenBucket(rate, max(1.0, rate * BURST_SECONDS)))
    if wait := bucket.take(time.monotonic()):
        raise Refused(
            429,
            f"This key makes more than {rate:g} requests a second.",
            headers={"Retry-After": ofrep.retry_after(wait)},
        )
