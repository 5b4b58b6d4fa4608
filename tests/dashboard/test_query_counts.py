"""No page asks the database more often because there are more targets."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse

from dashboard.queries.overview import STORIES
from dashboard.urls import urlpatterns
from probes.generating import work
from probes.models import Target
from tests.support.people import signed_in

UNTIL = datetime(2026, 11, 20, 12, 16, tzinfo=UTC)
STAGING, PRODUCTION = "generated-staging", "generated-production"
SLUG = "generated-chat"
FLAG = "readiness-strategy"
_TARGET = {"slug": SLUG}
_STAGE = {"environment_key": STAGING}
_FLAG = {"environment_key": STAGING, "flag_key": FLAG}
PAGES: dict[str, tuple[Mapping[str, object], Mapping[str, str]]] = {
    "overview": ({}, {}),
    "target_add": ({}, {}),
    "target": (_TARGET, {"range": "24h"}),
    "figures": (_TARGET, {"range": "7d"}),
    "residents": (_TARGET, {"range": "24h"}),
    "slots": (_TARGET, {}),
    "target_act": (_TARGET, {}),
    "target_edit": (_TARGET, {}),
    "race_checks": (_TARGET, {}),
    "flags": ({}, {"env": STAGING}),
    "flags_use": ({}, {"env": STAGING}),
    "proposals": ({}, {}),
    "policy": (_STAGE, {}),
    "change": (_STAGE, {}),
    "flag_new": (_STAGE, {}),
    "flag_edit": ({"environment_key": STAGING, "flag": FLAG}, {}),
    "undo": ({**_STAGE, "number": 2}, {}),
    "restore": ({**_STAGE, "number": 1}, {}),
    "revision": ({**_STAGE, "number": 2}, {}),
    "promote": ({"environment_key": PRODUCTION}, {}),
    "flag": (_FLAG, {}),
    "kill": (_FLAG, {}),
    "guard": (_FLAG, {}),
    "ramp": (_FLAG, {}),
    "rollback": ({}, {"env": STAGING}),
    "plan_make": ({}, {}),
    "run_plan": ({**_STAGE, "plan_key": "phase-1"}, {}),
    "deploys": ({}, {"env": STAGING}),
    "deploy_mark": ({}, {"env": STAGING}),
    "practice": ({}, {}),
    "practice_on": ({}, {}),
    "strategies": ({}, {"env": STAGING}),
    "fleet": ({}, {}),
    "fleet_figures": ({}, {}),
    "palette": ({}, {}),
    "audit": ({}, {}),
    "docs": ({}, {}),
    "doc": ({"name": "failures"}, {}),
    "server_keys": ({}, {}),
    "sessions": ({}, {}),
    "signin": ({}, {}),
}
ACTS = {
    "target_address", "target_pause", "target_resume", "race_check_start", "race_check_cancel", "proposal_approve",
    "proposal_reject", "proposal_renew", "glass_end", "review_close", "break_glass", "known_good", "flag_remove",
    "plan_remove", "plan_drill", "deploy_remove", "practice_end_all", "practice_end", "key_make", "key_rotate",
    "key_revoke", "session_end", "sessions_end_others", "signout", "signin_link", "tour", "tour_note",
}  # fmt: skip
"""They do something, or nothing but check what was typed."""
OF_ONE_THING = {
    "target_watch", "race_check", "proposal", "lift", "ramp_verb", "plan_edit", "practice_start", "help_json",
}  # fmt: skip
"""They show one race check, proposal, layer, plan, revision's act or fault: none of which a new target brings."""


@pytest.fixture
def ada() -> Iterator[Client]:
    yield signed_in("administrator")
    work.remove(by="the test")


def made(targets: int) -> None:
    work.remove(by="the test")
    wanted = work.Wanted(targets, 0.05, interval_s=60, until=UNTIL)
    work.generate(wanted, by="the test", beside_real=False, tell=lambda line: None)


def asked(client: Client) -> dict[str, int]:
    """Queries of each page, the second time that it is seen: what a process remembers it asks once."""
    found = {}
    for name, (arguments, query) in PAGES.items():
        address = reverse(name, kwargs=dict(arguments)) + (f"?{urlencode(query)}" if query else "")
        client.get(address)
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(address)
        assert answer.status_code in (200, 302), (address, answer.status_code)
        found[name] = len(queries)
    return found


def test_every_page_is_asked_here() -> None:
    named = {pattern.name for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    assert named == {*PAGES, *ACTS, *OF_ONE_THING}


@pytest.mark.django_db
def test_no_page_asks_more_often_where_there_are_three_times_as_many_targets(ada: Client) -> None:
    made(8)
    few = asked(ada)
    made(24)
    assert Target.objects.count() == 24
    grown = {name: n - few[name] for name, n in asked(ada).items() if n > few[name]}
    # Each story that is told has its evidence looked up, of at most four; 16 more targets would show.
    assert grown.pop("overview", 0) < STORIES
    assert grown == {}
