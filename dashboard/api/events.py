"""Event streams that say "fetch again": one event per revision, replayed to whoever missed it.

What real clients need (found by running them): the current event at connect whenever Last-Event-ID is another one,
because the web client fetches nothing after a reconnect by itself; the current event again every 25 s, because a client
whose fetch failed waits for the next event; comments in between, so that a dead connection is noticed.
Format: WHATWG HTML, 9.2 Server-sent events.
"""

import time
from collections.abc import AsyncIterator

from django.http import HttpRequest, StreamingHttpResponse

from connections.flags.keys import Holder
from dashboard.api import authentication
from dashboard.api.endpoint import endpoint
from dashboard.revisions import Watcher, watcher
from dashboard.snapshots import Snapshot

HEARTBEAT_SECONDS = 10.0
REPEAT_SECONDS = 25.0
_OPENING = b"retry: 1000\n\n"
_HEARTBEAT = b": still here\n\n"


@endpoint("GET")
async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """OFREP's event stream: the credential stands in the address."""
    return await _stream(request, await authentication.stream(request), definitions=False)


@endpoint("GET")
async def definitions_stream(request: HttpRequest) -> StreamingHttpResponse:
    """`GET /api/v1/definitions/stream`: the same events; with `?with=definitions` each carries what it tells of."""
    holder = await authentication.watched_server(request)
    return await _stream(request, holder, definitions=request.GET.get("with") == "definitions")


async def _stream(request: HttpRequest, holder: Holder, *, definitions: bool) -> StreamingHttpResponse:
    source = watcher()
    await source.snapshot(holder.environment)
    return StreamingHttpResponse(
        events(
            source,
            holder,
            request.headers.get("Last-Event-ID", ""),
            definitions=definitions,
            heartbeat=HEARTBEAT_SECONDS,
            repeat=REPEAT_SECONDS,
        ),
        content_type="text/event-stream",
        # X-Accel-Buffering: nginx holds streams back otherwise.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def events(
    source: Watcher,
    holder: Holder,
    last_event_id: str,
    *,
    definitions: bool = False,
    heartbeat: float,
    repeat: float,
) -> AsyncIterator[bytes]:
    """The bytes of one stream, until its key is revoked or the client leaves. Times are seconds."""
    snapshot = await source.snapshot(holder.environment)
    yield (
        _OPENING
        if last_event_id == str(snapshot.revision)
        else _OPENING + event(snapshot.scope(holder.tags), definitions=definitions)
    )
    sent_at = time.monotonic()
    while True:
        patience = min(heartbeat, max(0.0, sent_at + repeat - time.monotonic()))
        changed = await source.next_change(holder.environment, after=snapshot.revision, seconds=patience)
        if not source.still_holds(holder):
            return
        if changed is not None or time.monotonic() >= sent_at + repeat:
            snapshot = changed or snapshot
            sent_at = time.monotonic()
            yield event(snapshot.scope(holder.tags), definitions=definitions and changed is not None)
        else:
            yield _HEARTBEAT


def event(snapshot: Snapshot, *, definitions: bool = False) -> bytes:
    """One event; with the definitions for those who asked for them."""
    return snapshot.event_with_definitions if definitions else snapshot.event
