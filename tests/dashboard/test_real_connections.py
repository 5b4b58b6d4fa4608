"""What real connections met, beside what probes met: on the target's page and on the flags page, live in both."""

import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from connections.flags import keys, reports
from connections.models import ConnectionCount
from dashboard import real_connections
from dashboard.queries.target import TargetReader
from dashboard.queries_flags import flags_state
from tests.support.history import failing, healthy
from tests.support.pages import text
from tests.support.people import signed_in

NBSP = "\u00a0"
PAGE = "/targets/staging-chat/"
READY = {"opened": 690, "false_ready": 345}


def tell(
    ended: Mapping[str, int],
    ready: Mapping[str, int] | None = None,
    *,
    revision: int = 2,
    run: str = "one",
    seconds_ago: float = 0,
    environment: str = "staging",
) -> None:
    """A watched server reports its totals under `immediate`; it began 5 s before."""
    _, key = keys.create(environment, "chat", author="alice")
    holder = keys.verify(key)
    assert holder is not None
    report = reports.Report(
        instance="chat-1",
        library_version="0.1.0",
        held_revision=revision,
        run=run,
        run_seconds=5,
        ending=False,
        evaluations={},
        connections={"immediate": ended},
        readiness={"immediate": ready} if ready else {},
    )
    reports.record(holder, report, now=timezone.now() - timedelta(seconds=seconds_ago))


def panel(path: str = PAGE) -> str:
    """The panel's words, with plain spaces."""
    page = text(signed_in("viewer").get(path)).replace(NBSP, " ")
    return page[page.index("Real connections") : page.index("Race check", page.index("Real connections"))]


def counted(words: str) -> int:
    """How many connections a panel says have ended."""
    found = re.search(r"([\d,]+) connections ended", words)
    assert found, words
    return int(found[1].replace(",", ""))


# --- the rule ---------------------------------------------------------------------------------------------------------


def test_shares_come_with_their_bounds_and_few_are_counted() -> None:
    assert real_connections.cell(310, 1000) == real_connections.Cell(f"31{NBSP}%", f"28 to 34{NBSP}%")
    assert real_connections.cell(0, 1000) == real_connections.Cell(f"0{NBSP}%", f"below 0.30{NBSP}%")
    assert real_connections.cell(4, 7) == real_connections.Cell("4 of 7")
    assert real_connections.cell(0, 0) == real_connections.Cell("–")


def test_a_share_is_of_those_that_it_is_about() -> None:
    """False ready is of the connections that opened, everything else of all that ended."""
    real = {
        "immediate": {"ended.client_gone": 30, "ended.client_closed": 70, "ready.opened": 50, "ready.false_ready": 25}
    }
    [group] = real_connections.groups(real, {"immediate": {"": 10, "not_ready": 10}})
    assert (group.real, group.probes) == ("100", "20")
    shown = {
        line.name: (line.real.share.replace(NBSP, " "), line.probes.share.replace(NBSP, " ")) for line in group.lines
    }
    assert shown == {"Left before ready": ("30 %", "–"), "Not ready": ("0 %", "50 %"), "False ready": ("50 %", "0 %")}


def test_false_not_ready_is_shown_where_applications_tell_it() -> None:
    real = {"dependency_gate": {"ended.not_ready": 20, "ready.false_not_ready": 5}}
    [group] = real_connections.groups(real, {})
    assert group.lines[-1].name == "False not-ready"
    assert group.lines[-1].real.share == f"25{NBSP}%"


counts = st.dictionaries(
    st.sampled_from(["ended.client_gone", "ended.not_ready", "ended.drained", "ready.opened", "ready.false_ready"]),
    st.integers(0, 10**6),
)


@given(st.dictionaries(st.sampled_from(["immediate", "ready_ack", ""]), counts), st.just({"immediate": {"": 3}}))
def test_any_counts_can_be_shown(real: dict[str, dict[str, int]], probes: dict[str, dict[str, int]]) -> None:
    found = real_connections.groups(real, probes)
    assert all(line.real.share for group in found for line in group.lines)
    assert real_connections.lede(real).endswith(".")


# --- the target's page ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_real_connections_stand_beside_the_probes_with_bounds_and_since_when() -> None:
    history = failing(1, 30, timezone.now())
    history.servers.clear()
    tell({"client_gone": 310, "client_closed": 690}, READY)
    words = panel()
    assert "since revision 2," in words
    assert "left before ready (95 %:" in words
    assert "False ready" in words
    assert "watched server" in words


@pytest.mark.django_db
def test_only_what_ended_under_the_served_revision_or_within_the_hour_is_shown() -> None:
    healthy(1, 5, timezone.now())
    tell({"client_gone": 500}, revision=1, seconds_ago=4000, environment="production")
    tell({"client_gone": 503, "drained": 9}, revision=1, environment="production")
    tell({"client_gone": 503, "drained": 9, "self_closed": 20}, revision=1, environment="production")
    assert counted(panel("/targets/chat/")) == 20
    assert "in the last hour" in panel("/targets/chat/")


@pytest.mark.django_db
def test_what_ended_under_the_revision_before_is_not_blamed_on_this_one() -> None:
    """Also within the minute of the change."""
    history = failing(1, 30, timezone.now())
    history.servers.clear()
    ConnectionCount.objects.all().delete()
    for revision, gone in ((1, 500), (2, 500), (2, 520)):
        tell({"client_gone": gone}, revision=revision)
    assert counted(panel()) == 20


@pytest.mark.django_db
def test_a_restart_neither_hides_nor_repeats_what_was_counted() -> None:
    healthy(1, 5, timezone.now())
    for run, ended in (("one", 8), ("one", 12), ("two", 15), ("two", 18)):
        tell({"client_gone": ended}, revision=1, run=run, environment="production")
    assert counted(panel("/targets/chat/")) == 30


@pytest.mark.django_db
def test_without_a_watched_server_the_panel_says_how_to_get_one() -> None:
    healthy(1, 5, timezone.now())
    words = panel("/targets/chat/")
    assert "only probes are known here" in words
    assert "python manage.py server_key create --environment production --name chat" in words
    assert "ReadinessGate" in words
    assert "http://127.0.0.1:8000" in signed_in("viewer").get("/targets/chat/").content.decode()


@pytest.mark.django_db
def test_a_server_whose_connections_all_still_live_is_no_empty_state() -> None:
    healthy(1, 5, timezone.now())
    tell({}, revision=1, environment="production")
    words = panel("/targets/chat/")
    assert "No connection has ended." in words
    assert "1 watched server reports." in words
    assert "server_key create" not in words


@pytest.mark.django_db
def test_a_server_that_fell_silent_is_named_as_such() -> None:
    healthy(1, 5, timezone.now())
    tell({"client_gone": 20}, revision=1, seconds_ago=120, environment="production")
    assert "1 server has not reported since" in panel("/targets/chat/")


@pytest.mark.django_db
def test_the_open_page_is_told() -> None:
    healthy(1, 5, timezone.now())
    target = TargetReader.find("chat")
    assert target is not None
    before = TargetReader(target).live(timezone.now())["real"]
    tell({"client_gone": 20}, revision=1, environment="production")
    after = TargetReader(target).live(timezone.now())["real"]
    assert "server_key create" in before
    assert f"20{NBSP}connections ended" in after


# --- the flags page ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_watched_server_says_what_its_connections_met() -> None:
    tell({"client_gone": 310, "client_closed": 680, "not_ready": 10}, revision=1)
    [server] = flags_state("staging")["servers"]
    met = server["met"].replace(NBSP, " ")
    assert met.startswith("1,000 connections ended since ")
    assert met.endswith(": 31 % left before ready (28 to 34 %), 1.0 % turned away, not ready (0.54 to 1.8 %)")
    assert "left before ready" in text(signed_in("viewer").get("/flags/?env=staging"))


@pytest.mark.django_db
def test_the_flags_page_without_servers_says_how_to_get_one() -> None:
    words = text(signed_in("viewer").get("/flags/?env=production"))
    assert "server_key create --environment production --name chat" in words
    assert "No watched server has reported yet." in words
