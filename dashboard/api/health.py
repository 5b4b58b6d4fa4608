"""For load balancers and supervisors: is the process alive, can it serve. Open to everybody."""

import asyncio
import time
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from connections.flags import ofrep
from dashboard.api.endpoint import endpoint, json_response
from dashboard.revisions import watcher

FRESH_POLLS = 10
PATIENCE_SECONDS = 2.0


@endpoint("GET", "HEAD")
async def alive(request: HttpRequest) -> HttpResponse:
    """`/healthz`: the process answers."""
    return json_response(ofrep.dump({"status": "alive"}))


@endpoint("GET", "HEAD")
async def ready(request: HttpRequest) -> HttpResponse:
    """`/readyz`: 200 while the database answers, else 503. Redis is told only: flags work without it."""
    source = watcher()
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await source.loaded()
    patience = max(PATIENCE_SECONDS, FRESH_POLLS * settings.REVISION_POLL_MILLISECONDS / 1000)
    reachable = source.read_at is not None and time.monotonic() - source.read_at < patience
    told = {
        "status": "ready" if reachable else "not ready",
        "database": "answers" if reachable else "does not answer",
        "redis": "answers" if source.redis_listens else "does not answer: changes arrive within the poll, probes wait",
    }
    return json_response(ofrep.dump(told), status=200 if reachable else 503)
