"""The gate's flag sources against the real web server: what a watched server learns from it, and tells it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from connections.gate import Cause, FlagSource, OfrepSource, ReadinessGate
from connections.gate.selection import select
from connections.gate.source import Source
from tests.connections.gate.applications import next_json
from tests.dashboard.api.conftest import Web
from tests.support.asgi import serving
from tests.support.connection_records import connection_ended
from tests.support.flag_sources import holds, waiting
from tests.support.waiting import await_until, wait_until

START_SECONDS = 20.0


@contextmanager
def started(source: Source) -> Iterator[Source]:
    source.start()
    try:
        yield source
    finally:
        source.stop()


def following(web: Web, cache: Path | None = None, environment: str = "staging") -> FlagSource:
    """A source with its usual times, except that it tries again sooner."""
    return FlagSource(web.url, web.key(environment), "chat-1", cache, retry_first_s=0.05, retry_most_s=0.2)


def test_it_holds_what_the_server_serves_with_its_etag(web: Web) -> None:
    served = web.get("/api/v1/definitions")
    with started(following(web, environment="production")) as source:
        wait_until(lambda: source.snapshot().origin == "server", START_SECONDS)
        held = source.snapshot()
    assert held.flags == served.json()["flags"]
    assert (held.revision, held.environment) == (served.json()["revision"], "production")
    assert held.etag == served.headers["ETag"]


async def test_a_change_reaches_the_next_connection_by_its_event_stream(web: Web) -> None:
    with (
        started(following(web)) as source,
        serving(ReadinessGate(waiting(), flags=source)) as chat,
    ):
        await await_until(lambda: source.snapshot().origin == "server", START_SECONDS)
        before = source.snapshot().revision or 0
        web.toggle("staging")
        await await_until(holds(source, before + 1), START_SECONDS)
        served = web.get("/api/v1/definitions", "staging").json()["flags"]["readiness-strategy"]["defaultVariant"]
        async with connect(chat.ws) as client:
            ready = await next_json(client)
    assert (ready["strategy"], ready["flags_revision"]) == (served, before + 1)


def test_what_changed_while_the_server_was_down_is_caught_up_and_held_flags_stay_meanwhile(
    own_web: Callable[..., Web],
) -> None:
    web = own_web()
    with started(following(web)) as source:
        wait_until(holds(source, 1), START_SECONDS)
        web.daphne.kill()
        values = {"readiness-strategy": "immediate"}
        web.control(f"change('staging', {values!r}, expected_version=1, **who)")
        assert source.snapshot().revision == 1
        web.daphne.restart()
        wait_until(holds(source, 2), START_SECONDS)
        assert source.snapshot().flags["readiness-strategy"]["defaultVariant"] == "immediate"


def test_the_last_known_good_serves_a_restart_while_the_server_is_down(
    own_web: Callable[..., Web], tmp_path: Path
) -> None:
    """And only for the environment whose key it came with."""
    web, cache = own_web(), tmp_path / "flags.json"
    web.serve_strategy("staging", "immediate")
    with started(following(web, cache)) as source:
        wait_until(holds(source, 2), START_SECONDS)
        wait_until(cache.exists)
    staging, production = following(web, cache), following(web, cache, "production")
    web.daphne.kill()
    with started(staging):
        assert (staging.snapshot().origin, staging.snapshot().revision) == ("disk", 2)
    assert production.snapshot().origin == "default"
    assert select(production.snapshot(), {}).strategy.name == "dependency_gate"


def test_a_revoked_key_keeps_what_was_held_and_says_what_to_do(
    own_web: Callable[..., Web], caplog: pytest.LogCaptureFixture
) -> None:
    web = own_web()
    key = web.daphne.server_key("staging", "short-lived")
    source = FlagSource(web.url, key, "chat-1", retry_first_s=0.05, retry_most_s=0.2)
    with started(source):
        wait_until(holds(source, 1), START_SECONDS)
        web.daphne.manage("server_key", "revoke", key)
        wait_until(lambda: "manage.py server_key create" in caplog.text, START_SECONDS)
        assert source.snapshot().revision == 1
    assert key not in caplog.text


def test_evaluation_here_is_evaluation_there(own_web: Callable[..., Web]) -> None:
    """A ramp and a rule: for each subject, the gate chooses locally what the server answers over OFREP."""
    web = own_web()
    rule = {
        "if": [{"==": [{"var": "path"}, "/vip"]}, "immediate", {"fractional": [["fixed_delay", 30], ["state", 70]]}]
    }
    variants = {"immediate": "immediate", "fixed_delay": "fixed_delay", "state": "dependency_gate"}
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "state", "targeting": rule}
    web.control(f"define('staging', {{'readiness-strategy': {flag!r}}}, expected_version=1, **who)")
    with started(following(web)) as source:
        wait_until(holds(source, 2), START_SECONDS)
        seen = set()
        for number in range(40):
            context = {"targetingKey": f"subject-{number}", "path": "/vip" if number % 10 == 0 else "/ws/chat"}
            there = web.post("/ofrep/v1/evaluate/flags/readiness-strategy", {"context": context}, "staging").json()
            here = dict(select(source.snapshot(), context).evaluations)["readiness-strategy"]
            assert here == there["variant"]
            seen.add(here)
    assert seen == {"immediate", "fixed_delay", "state"}


def stored(web: Web, instance: str) -> dict[str, Any]:
    """What the dashboard keeps of an instance; empty before its first report."""
    lines = (
        "import json",
        "from connections.models import WatchedServer as W, ConnectionCount as C",
        f"row = W.objects.filter(instance={instance!r}).values('held_revision', 'connections', 'readiness').first()",
        "counts = list(C.objects.order_by('figure').values_list('strategy', 'figure', 'count'))",
        "print(json.dumps({**row, 'counts': counts} if row else {}))",
    )
    found: dict[str, Any] = json.loads(web.daphne.manage("shell", "-v0", "-c", "\n".join(lines)))
    return found


def test_what_it_reports_is_kept_and_counted_over_a_restart(own_web: Callable[..., Web]) -> None:
    web = own_web()
    for _ in range(2):
        source = following(web)
        with started(source):
            wait_until(holds(source, 1), START_SECONDS)
            for false_ready in (True, False, False):
                ended = connection_ended("immediate", Cause.CLIENT_GONE, added_ms=0.0, false_ready=false_ready)
                source.ended(ended)
    kept = stored(web, "chat-1")
    assert kept["held_revision"] == 1
    assert kept["connections"] == {"immediate": {"client_gone": 3}}
    assert kept["readiness"] == {"immediate": {"opened": 3, "false_ready": 1, "added_1": 3}}
    assert kept["counts"] == [
        ["immediate", "ended.client_gone", 6],
        ["immediate", "ready.added_1", 6],
        ["immediate", "ready.false_ready", 2],
        ["immediate", "ready.opened", 6],
    ]


# --- our own server, as somebody else's would be read -----------------------------------------------------------------


def test_over_ofrep_a_change_arrives_by_the_stream_that_the_server_announces(web: Web) -> None:
    source = OfrepSource(web.url, web.key("staging"), "chat-1", poll_every_s=600)
    with started(source):
        wait_until(lambda: source.snapshot().origin == "server", START_SECONDS)
        held = source.snapshot().revision or 0
        assert source.snapshot().environment == "staging"
        web.toggle("staging")
        wait_until(holds(source, held + 1), START_SECONDS)


def test_over_ofrep_a_change_while_the_server_was_down_is_caught_up(own_web: Callable[..., Web]) -> None:
    web = own_web()
    source = OfrepSource(web.url, web.key("staging"), "chat-1", poll_every_s=600, retry_first_s=0.05, retry_most_s=0.2)
    with started(source):
        wait_until(holds(source, 1), START_SECONDS)
        web.daphne.kill()
        values = {"readiness-strategy": "immediate"}
        web.control(f"change('staging', {values!r}, expected_version=1, **who)")
        web.daphne.restart()
        wait_until(holds(source, 2), START_SECONDS)
