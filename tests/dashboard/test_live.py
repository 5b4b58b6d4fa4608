"""The live socket over a real server: who may listen, and that what is recorded arrives."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import websockets
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django.fixtures import Settings
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connections.flags import reports
from connections.flags.keys import Holder
from connections.flags.reports import Report
from dashboard.live import hub
from dashboard.live.hub import SIGNED_OUT
from dashboard.live.origin import is_own_page
from dashboard.live.topics import Topics
from dashboard.models import User
from dashboard.queries.fleet import troubled_processes
from probes.models import Target
from probes.recording import record
from tests.support.asgi import Served, serving
from tests.support.history import change, deploy, failing
from tests.support.outcomes import entry, failure, stored_target, success
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
def served(settings: Settings, redis_url: str) -> Iterator[Served]:
    """The web process's application, with a real Redis."""
    settings.REDIS_URL = redis_url
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    from dashboard.asgi import application

    with serving(application, lifespan="off") as running:
        yield running


@asynccontextmanager
async def page(served: Served, cookie: str, *topics: str) -> AsyncIterator[ClientConnection]:
    """A page's socket, subscribed."""
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
    async with connect(f"{served.ws}/ws/live/", origin=served.http, additional_headers=headers) as socket:  # type: ignore[arg-type]
        await socket.send(json.dumps({"type": "subscribe", "topics": list(topics), "seq": 1}))
        yield socket


async def told(socket: ClientConnection, kind: str, topic: str = "") -> dict[str, Any]:
    """The next message of a kind (and topic), within five seconds."""
    async with asyncio.timeout(5):
        async for text in socket:
            message: dict[str, Any] = json.loads(text)
            if message["type"] == kind and message.get("topic", "") == topic:
                return message
    raise AssertionError("the socket closed")


@pytest.fixture
def cookie() -> str:
    return signed_in("viewer").cookies[settings.SESSION_COOKIE_NAME].value


async def refusal(served: Served, **headers: Any) -> int:
    try:
        async with connect(f"{served.ws}/ws/live/", **headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def test_a_stranger_is_refused(served: Served) -> None:
    assert await refusal(served, origin=served.http) == 403


async def close_code(socket: ClientConnection) -> int | None:
    """How the server closes the socket, within twenty seconds."""
    async with asyncio.timeout(20):
        with suppress(ConnectionClosed):
            async for _ in socket:
                pass
    return socket.close_code


async def test_an_open_page_is_closed_when_its_person_signs_out(served: Served) -> None:
    """In whichever tab or browser: what is open hears nothing more. Somebody else's page stays."""
    vera, rosa = await asyncio.to_thread(lambda: (signed_in("viewer"), signed_in("responder")))
    hers, others = (client.cookies[settings.SESSION_COOKIE_NAME].value for client in (vera, rosa))
    async with page(served, hers, "health") as socket, page(served, others, "health") as other:
        await told(socket, "heartbeat")
        await asyncio.to_thread(vera.post, "/signout/")
        assert await close_code(socket) == SIGNED_OUT
        await told(other, "heartbeat")
        assert other.close_code is None
    assert await refusal(served, origin=served.http, additional_headers={"Cookie": f"sessionid={hers}"}) == 403


@pytest.mark.parametrize("how", ["expired", "deactivated", "bound to another text"])
async def test_an_open_page_is_closed_when_its_session_holds_no_more(served: Served, cookie: str, how: str) -> None:
    def end() -> None:
        if how == "expired":
            Session.objects.update(expire_date=timezone.now())
        elif how == "deactivated":
            User.objects.update(is_active=False)
        else:
            User.objects.update(password="!another")

    async with page(served, cookie, "health") as socket:
        await told(socket, "heartbeat")
        await asyncio.to_thread(end)
        assert await close_code(socket) == SIGNED_OUT


async def test_another_sites_page_is_refused_although_the_person_is_signed_in(served: Served, cookie: str) -> None:
    """Cookies travel with every handshake: the Origin is what tells our page from another's."""
    cookies = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}
    assert await refusal(served, origin="http://evil.example", additional_headers=cookies) == 403
    assert await refusal(served, origin="http://127.0.0.1:1", additional_headers=cookies) == 403
    assert await refusal(served, additional_headers=cookies) == 403
    assert await refusal(served, origin=served.http, additional_headers=cookies) == 101


async def test_a_page_is_greeted_told_everything_and_kept_awake(served: Served, cookie: str) -> None:
    async with page(served, cookie, "overview", "health") as socket:
        await told(socket, "hello")
        update = await told(socket, "update", "overview")
        assert update["whole"] is True
        assert update["data"]["order"] == []
        beat = await told(socket, "heartbeat")
        assert timezone.now() - datetime.fromisoformat(beat["at"]) < timedelta(seconds=5)


async def test_a_recorded_result_arrives_as_its_row_alone(served: Served, cookie: str) -> None:
    first, second = await asyncio.to_thread(lambda: (stored_target("one"), stored_target("two")))
    async with page(served, cookie, "overview") as socket:
        whole = await told(socket, "update", "overview")
        assert set(whole["data"]["rows"]) == {"one", "two"}
        now = timezone.now()
        await asyncio.to_thread(record, [entry(first, now, success())], now=now)
        update = await told(socket, "update", "overview")
        assert update["whole"] is False
        assert set(update["data"]["rows"]) == {"one"}
        assert update["data"]["rows"]["one"]["ribbon"].endswith("zu")
    assert second.slug == "two"


async def test_a_target_page_gets_its_story_flags_and_probes(served: Served, cookie: str) -> None:
    await asyncio.to_thread(failing, 1, 10, timezone.now())
    async with page(served, cookie, "target:staging-chat") as socket:
        data = (await told(socket, "update", "target:staging-chat"))["data"]
        assert data["state"] == "down"
        assert "accepted but not ready" in data["story"]
        assert "readiness-strategy" in data["flags"]
        assert "probe-link" in data["last_probes"]
        await asyncio.to_thread(change, "staging", {"client-ack": "off"}, timezone.now())
        # What is watched counts its seconds, so that updates may come before that of the change.
        async with asyncio.timeout(5):
            while "client-ack" not in (await told(socket, "update", "target:staging-chat"))["data"]["changes"]:
                pass


async def test_without_redis_results_still_arrive_and_health_says_so(settings: Settings, cookie: str) -> None:
    """The database is looked at every two seconds whatever happens to Redis."""
    settings.REDIS_URL = NO_REDIS
    target = await asyncio.to_thread(stored_target, "one")
    from dashboard.asgi import application

    with serving(application, lifespan="off") as served:
        async with page(served, cookie, "overview", "health") as socket:
            async with asyncio.timeout(5):
                while not (await told(socket, "update", "health"))["data"].get("redis_away_since"):
                    pass
            now = timezone.now()
            await asyncio.to_thread(record, [entry(target, now, failure())], now=now)
            update = await told(socket, "update", "overview")
            assert update["data"]["rows"]["one"]["ribbon"].endswith("d")


@pytest.mark.parametrize(
    "text",
    ["", "not json", "[]", '{"type": "shout"}', '{"type": "subscribe"}', '{"type": "subscribe", "topics": ["secrets"]}',
     '{"type": "subscribe", "topics": ["target:"]}', '{"type": "subscribe", "topics": [7]}', "x" * 5_000,
     json.dumps({"type": "subscribe", "topics": ["health"] * 9})],
)  # fmt: skip
async def test_nonsense_is_answered_and_changes_nothing(served: Served, cookie: str, text: str) -> None:
    async with page(served, cookie, "health") as socket:
        await told(socket, "update", "health")
        await socket.send(text)
        assert (await told(socket, "error"))["message"]
        await told(socket, "heartbeat")


async def test_who_holds_a_revision_is_told_at_once(
    served: Served, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the hub's next look at the database: that is minutes away here."""
    monkeypatch.setattr(hub, "POLL_SECONDS", 600.0)
    holder = Holder(1, "staging", "chat key", "hash")

    def report(revision: int) -> None:
        reports.record(
            holder, Report("chat-1", "0.1.0", revision, "first", 3600.0, False, {}, {}, {}), now=timezone.now()
        )

    async with page(served, cookie, "flags:staging") as socket:
        assert (await told(socket, "update", "flags:staging"))["data"]["total"] == 0
        await asyncio.to_thread(report, 0)
        behind = await told(socket, "update", "flags:staging")
        assert behind["data"]["sentence"] == "0 of 1 server holds revision 1. Behind: chat-1."
        await asyncio.to_thread(report, 1)
        held = (await told(socket, "update", "flags:staging"))["data"]["sentence"]
        assert held.startswith("1 of 1 server holds revision 1, slowest ")


async def test_a_topic_whose_subject_does_not_exist_is_silent(served: Served, cookie: str) -> None:
    async with page(served, cookie, "target:nobody", "flags:nowhere", "health") as socket:
        await told(socket, "update", "health")
        await told(socket, "heartbeat")


async def test_every_other_path_is_refused(served: Served, cookie: str) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus):
        await connect(f"{served.ws}/ws/other/", origin=served.http)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://localhost:8000", "localhost:8000", True),
        ("https://readywire.example.org", "internal:8000", True),
        ("http://127.0.0.1:8001", "127.0.0.1:8000", False),
        ("http://evil.example", "127.0.0.1:8000", False),
        ("http://evil.example", "evil.example", False),
        ("null", "127.0.0.1:8000", False),
        ("", "127.0.0.1:8000", False),
    ],
)
def test_own_pages_are_those_of_the_host_asked_for_or_of_the_public_address(origin: str, host: str, own: bool) -> None:
    headers = [(b"origin", origin.encode()), (b"host", host.encode())]
    assert is_own_page(headers, ["127.0.0.1", "localhost"], "https://readywire.example.org") is own


def test_a_pulse_moves_with_everything_a_page_shows(tmp_path: Path) -> None:
    topics = Topics(tmp_path)
    seen = {topics.pulse()}
    target = stored_target("one")
    seen.add(topics.pulse())
    now = timezone.now()
    record([entry(target, now, success())], now=now)
    seen.add(topics.pulse())
    change("staging", {"client-ack": "off"}, now)
    seen.add(topics.pulse())
    Target.objects.update(paused_by="Rosa")
    seen.add(topics.pulse())
    deploy("staging", "chat 5.12.0", now)
    seen.add(topics.pulse())
    assert len(seen) == 6


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"at": "x", "processes": []}', '{"at": "2026-11-20T03:00:00+00:00", "processes": [1]}']
)
def test_a_process_file_that_cannot_be_read_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "processes.json").write_text(text)
    assert troubled_processes(tmp_path, datetime.fromisoformat("2026-11-20T03:00:01+00:00")) == []


def test_only_processes_that_do_not_run_are_told_and_only_while_the_file_is_fresh(tmp_path: Path) -> None:
    at = timezone.now()
    rows = [
        {"name": "web", "state": "running", "since": at.isoformat(), "restarts": 0, "why": ""},
        {"name": "recorder", "state": "restarting", "since": at.isoformat(), "restarts": 2, "why": "exit code 1"},
    ]
    (tmp_path / "processes.json").write_text(json.dumps({"at": at.isoformat(), "processes": rows}))
    assert [each["name"] for each in troubled_processes(tmp_path, at)] == ["recorder"]
    assert troubled_processes(tmp_path, at + timedelta(minutes=1)) == []
