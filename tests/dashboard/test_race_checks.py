"""Race checks on pages and over REST: who may, what is refused and how it is said, what a report tells."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from connections.models import AuditRecord, Environment
from dashboard.accounts import create_token
from dashboard.queries.race_checks import card, comparison, drawing, newest, shown
from dashboard.queries.target import TargetReader
from probes.histogram import Histogram
from probes.models import RaceCheck, Target
from probes.pausing import pause
from probes.race_check_records import ask, record
from probes.race_checks import Ending, Entry, Request
from tests.support.outcomes import stored_target
from tests.support.pages import text
from tests.support.people import signed_in
from tests.support.race_reports import report

pytestmark = pytest.mark.django_db
TYPED = {"count": "100", "at_once": "10", "mode": "early", "location": "local", "key": "k" * 32}
ADDRESS = "/targets/chat/race-checks/"
API = "/api/v1/targets/chat/race-checks"


@pytest.fixture
def target() -> Target:
    return stored_target(name="Staging chat", deadline_ms=5000)


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def production() -> Target:
    target = stored_target(name="Chat")
    Target.objects.filter(pk=target.pk).update(environment=Environment.objects.get(key="production"))
    return Target.objects.get(pk=target.pk)


def asked(target: Target, by: str = "Mara", **fields: Any) -> RaceCheck:
    return ask(target, Request(**fields), by, lambda _: None)


def done(target: Target, failed: int, *, minutes_ago: float = 60, **fields: Any) -> RaceCheck:
    check = asked(target, **fields)
    record(Entry(check.pk, "w", 200, failed, Ending.DONE, "", report(200, failed)), timezone.now())
    at = timezone.now() - timedelta(minutes=minutes_ago)
    RaceCheck.objects.filter(pk=check.pk).update(asked_at=at, ended_at=at, started_at=at)
    return RaceCheck.objects.get(pk=check.pk)


def test_the_page_says_before_what_will_happen(target: Target, rosa: Client) -> None:
    words = text(rosa.get(ADDRESS))
    assert "200 probes, 20 at once" in words
    assert "from local, against Staging chat in staging; takes about 51 s at most" in words.replace("\u00a0", " ")
    assert "counts in no objective" in words
    assert "No race check of this target yet." in words


def test_starting_leads_to_the_checks_own_page(target: Target, rosa: Client) -> None:
    """And the same form sent twice starts one."""
    first, second = (rosa.post(f"{ADDRESS}start/", TYPED) for _ in range(2))
    check = RaceCheck.objects.get()
    assert (check.count, check.at_once, check.early_send, check.asked_by) == (100, 10, True, "Rosa")
    assert first["Location"] == second["Location"] == f"{ADDRESS}{check.pk}/"
    page = text(rosa.get(first["Location"]))
    assert "Waiting for a worker" in page
    assert "Cancel this check" in page
    assert text(rosa.get("/targets/chat/")).count("Cancel this check") == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"count": "1001"}, "1001 does not lie between 1 and 1000."),
        ({"at_once": "0"}, "0 does not lie between 1 and 50."),
        ({"count": "many"}, "Write a whole number."),
        ({"location": "moon"}, "is no location of this target."),
        ({"key": ""}, "This form is incomplete."),
    ],
)
def test_what_cannot_be_asked_for_is_told_and_nothing_typed_is_lost(
    target: Target, rosa: Client, changed: dict[str, str], told: str
) -> None:
    answer = rosa.post(f"{ADDRESS}start/", {**TYPED, **changed})
    assert answer.status_code == 422
    assert told in text(answer)
    assert f'value="{changed.get("count", "100")}"' in answer.content.decode()
    assert not RaceCheck.objects.exists()


def test_production_says_so_and_asks_for_a_tick(rosa: Client) -> None:
    production()
    page = rosa.get(ADDRESS)
    assert "prod-band" in page.content.decode()
    assert "real connections to production" in text(page)
    assert rosa.post(f"{ADDRESS}start/", TYPED).status_code == 422
    assert rosa.post(f"{ADDRESS}start/", {**TYPED, "ticked": "yes"}).status_code == 302


def test_a_second_starter_sees_who_is_running_it(target: Target, rosa: Client) -> None:
    check = asked(target)
    record(Entry(check.pk, "w", 41, 2), timezone.now())
    answer = rosa.post(f"{ADDRESS}start/", TYPED)
    assert answer.status_code == 409
    assert "Mara is running one: 41 of 200 probes." in text(answer)
    assert f"{ADDRESS}{check.pk}/" in answer.content.decode()
    assert "Mara is running one since" in text(rosa.get(ADDRESS))


def test_a_target_rests_and_the_page_says_for_how_long(target: Target, rosa: Client) -> None:
    done(target, 3, minutes_ago=0)
    answer = rosa.post(f"{ADDRESS}start/", TYPED)
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 30
    assert "a target rests 30 s between two" in text(answer)


def test_a_paused_target_says_so_instead_of_offering_a_form(target: Target, rosa: Client) -> None:
    pause(target, "Mara", None, "the host moves tonight")
    assert "is paused by Mara: nothing probes it, race checks included." in text(rosa.get(ADDRESS))
    assert rosa.post(f"{ADDRESS}start/", TYPED).status_code == 409


def test_a_protocol_whose_client_speaks_first_begins_with_normal(rosa: Client) -> None:
    stored_target(script={"preset": "mqtt"})
    assert 'value="normal" checked' in rosa.get(ADDRESS).content.decode()
    answer = rosa.post(f"{ADDRESS}start/", TYPED)
    assert answer.status_code == 422
    assert "before the claim" in text(answer)


def test_a_viewer_reads_and_starts_nothing(target: Target) -> None:
    vera = signed_in("viewer")
    check = done(target, 3)
    assert "Responders start race checks." in text(vera.get(ADDRESS))
    assert "Check again" not in text(vera.get(f"{ADDRESS}{check.pk}/"))
    assert "Race check…" not in text(vera.get("/targets/chat/"))
    active = asked(target)
    assert "Cancel this check" not in text(vera.get("/targets/chat/"))
    assert vera.post(f"{ADDRESS}start/", TYPED).status_code == 403
    assert vera.post(f"{ADDRESS}{active.pk}/cancel/").status_code == 403
    assert RaceCheck.objects.get(pk=active.pk).active


def test_cancelling_leaves_an_audit_row_and_changes_what_ended_no_more(target: Target, rosa: Client) -> None:
    check = asked(target)
    for _ in range(2):
        assert rosa.post(f"{ADDRESS}{check.pk}/cancel/")["Location"] == f"{ADDRESS}{check.pk}/"
    check.refresh_from_db()
    assert (check.state, check.why) == ("cancelled", "Cancelled by Rosa.")
    assert "Cancelled by Rosa." in text(rosa.get(f"{ADDRESS}{check.pk}/"))
    assert AuditRecord.objects.filter(action="race_check.cancelled").count() == 1
    assert "Cancelled a race check" in text(rosa.get("/audit/"))


def test_a_report_tells_counts_bounds_latencies_and_transcripts(target: Target, rosa: Client) -> None:
    check = done(target, 31)
    page = rosa.get(f"{ADDRESS}{check.pk}/")
    words = text(page).replace("\u00a0", " ")
    assert "31 of 200 probes failed, 16 % (95 %: 11 to 21 %). 26 of them met the race." in words
    for told in ("accept_race 26 13 %", "not_ready 5 2.5 %", "Served by dependency_gate, r4", "p95 never"):
        assert told in words
    assert "rw--never" in page.content.decode()
    assert "Need to call &quot;accept&quot; first." in page.content.decode()


def test_no_failure_is_told_as_a_bound(target: Target, rosa: Client) -> None:
    check = done(target, 0)
    words = text(rosa.get(f"{ADDRESS}{check.pk}/")).replace("\u00a0", " ")
    assert "None of 200 probes failed, which proves a share below 1.5 %." in words


def test_an_expired_check_says_why(target: Target, rosa: Client) -> None:
    check = asked(target)
    RaceCheck.objects.update(state="expired", why="No worker at local took it within 30 s.")
    assert "No worker at local took it within 30 s." in text(rosa.get(f"{ADDRESS}{check.pk}/"))


def test_two_checks_are_compared_without_claiming_too_much(target: Target) -> None:
    """What may be chance is called so; what else differed is named."""
    done(target, 31, minutes_ago=60)
    done(target, 6, minutes_ago=50)
    told = comparison(newest(target)).replace("\u00a0", " ")
    assert told.startswith("16 % failed before, 3.0 % now: 7.0 to 18.4 points fewer (95 %).")
    assert "does not say why" in told
    done(target, 8, minutes_ago=40, early_send=False)
    told = comparison(newest(target)).replace("\u00a0", " ")
    assert "That may be chance: 95 % from" in told
    assert "one sent early, the other did not" in told


def test_one_check_is_compared_with_nothing(target: Target) -> None:
    asked(target)
    assert comparison(newest(target)) == ""


def test_the_drawing_holds_every_probe_and_sets_never_apart() -> None:
    histogram = Histogram()
    for us in (1000, 1000, 50_000, 2_000_000):
        histogram.add(us)
    histogram.beyond = 2
    bars, axis = drawing(histogram)
    assert [bar.never for bar in bars] == [False, False, False, True]
    assert all(bar.x >= 0 and bar.x + bar.width <= 1000 and bar.y + bar.height == 100 for bar in bars)
    assert axis[-1][1] == "never"
    assert drawing(Histogram()) == ([], [])
    one = Histogram()
    one.add(40_000)
    assert len(drawing(one)[0]) == 1


def test_a_target_without_checks_explains_what_one_is(target: Target, rosa: Client) -> None:
    assert card(target, [])["race_check"] is None
    assert "None yet. A race check is a burst of probes" in text(rosa.get("/targets/chat/"))


def test_the_live_topic_tells_how_far_it_is(target: Target) -> None:
    check = asked(target)
    record(Entry(check.pk, "w", 41, 2), timezone.now())
    told = TargetReader(target).live(timezone.now())["race_check"]
    assert (told["id"], told["state"], told["done"], told["count"]) == (check.pk, "running", 41, 200)
    assert told["progress"].replace("\u00a0", " ") == "41 of 200 probes, 2 failed"
    assert "csrf" not in told["html"]


def test_an_open_page_does_not_read_transcripts_again_and_again(target: Target) -> None:
    """Each live update reads the newest checks; their samples are a hundred times as large as the rest."""
    for minutes in (60, 50, 40):
        done(target, 31, minutes_ago=minutes)
    with CaptureQueriesContext(connection) as queries:
        TargetReader(target).live(timezone.now())
    asked_for = [query["sql"] for query in queries if "racecheck" in query["sql"]]
    assert len(asked_for) == 1
    assert "samples" not in asked_for[0]


def test_a_check_shows_itself_while_nothing_is_known(target: Target) -> None:
    assert shown(asked(target)).verdict == ""


@pytest.mark.django_db(transaction=True)
def test_without_redis_the_check_says_at_once_that_it_was_not_queued(rosa: Client, settings: Settings) -> None:
    """Nothing answers on the tests' REDIS_URL."""
    stored_target()
    rosa.post(f"{ADDRESS}start/", TYPED)
    check = RaceCheck.objects.get()
    assert (check.state, check.why) == ("expired", "It could not be queued: Redis does not answer.")


# REST ---------------------------------------------------------------------------------------------------------------


def bearer(scope: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {create_token('robot', scope)}"}


def test_a_program_starts_reads_and_cancels_a_check(target: Target) -> None:
    client, headers = Client(enforce_csrf_checks=True), bearer("act")
    body = {"count": 100, "at_once": 10, "early_send": False}
    made = client.post(API, json.dumps(body), content_type="application/json", headers=headers)
    told = made.json()
    assert made.status_code == 202
    assert (told["state"], told["asked_by"], told["early_send"]) == ("queued", "token robot", False)
    assert client.get(made["Location"], headers=headers).json()["id"] == told["id"]
    ended = client.post(f"{made['Location']}/cancel", headers=headers)
    assert ended.json()["state"] == "cancelled"


def test_a_program_reads_a_report_with_its_bounds(target: Target) -> None:
    check = done(target, 31)
    told = Client().get(f"{API}/{check.pk}", headers=bearer("read")).json()["report"]
    assert (told["probes"], told["failed"], told["race"]) == (200, 31, 26)
    assert told["failure_share_bounds_95"] == pytest.approx([0.111, 0.2117], abs=0.001)
    assert told["race_window_ms"]["p95"] == "never"
    assert told["kinds"] == {"accept_race": 26, "not_ready": 5}


@pytest.mark.parametrize(
    ("body", "field"),
    [({"count": 0}, "count"), ({"count": "9"}, "count"), ({"early_send": 1}, "early_send"), ({"url": "x"}, "url"),
     ([], "body"), ("nonsense", "body")],
)  # fmt: skip
def test_a_program_is_told_which_field_is_wrong(target: Target, body: Any, field: str) -> None:
    sent = body if isinstance(body, str) else json.dumps(body)
    answer = Client().post(API, sent, content_type="application/json", headers=bearer("act"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, field)


def test_a_program_is_refused_as_a_person_is(target: Target) -> None:
    """409 while one is active, 429 with Retry-After while the target rests, 403 without the scope, 404 otherwise."""

    def post(headers: dict[str, str]) -> Any:
        return Client().post(API, "", content_type="application/json", headers=headers)

    headers = bearer("act")
    running = asked(target)
    answer = post(headers)
    assert (answer.status_code, answer.json()["error"]["race_check"]) == (409, running.pk)
    RaceCheck.objects.all().delete()
    done(target, 0, minutes_ago=0)
    answer = post(headers)
    assert (answer.status_code, 1 <= int(answer["Retry-After"]) <= 30) == (429, True)
    assert Client().post(API.replace("chat", "nobody"), headers=headers).status_code == 404
    assert Client().get(f"{API}/999", headers=headers).status_code == 404
    assert Client().post(API, "x" * 5000, content_type="text/plain", headers=headers).status_code == 413


def test_a_reading_token_starts_nothing(target: Target) -> None:
    assert Client().post(API, headers=bearer("read")).status_code == 403
    assert Client().post(API).status_code == 401
    assert not RaceCheck.objects.exists()
