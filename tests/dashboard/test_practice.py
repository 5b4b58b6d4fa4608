"""The practice page over real reference services: what is told, who may, what is refused, what is remembered."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from connections.models import AuditRecord
from connections.reference.faults import FAULTS
from dashboard import reference_setup
from dashboard.live.topics import Topics
from dashboard.models import PracticedFault
from dashboard.practice import words
from dashboard.practice.calls import CALL_SECONDS, On
from dashboard.practice.rows import agree, ended, going_on, started
from dashboard.queries.target import TargetReader
from probes.models import Target, TargetStatus
from tests.connections.reference.practising import TOKEN, Practised, practised
from tests.support.asgi import serving
from tests.support.pages import text
from tests.support.people import signed_in
from tests.support.servers import free_port

pytestmark = pytest.mark.django_db
START = "/practice/production-chat/slow_setup/"
SENT = {"seconds": "6", "percent": "100", "lasts": "300", "reason": "Training the on-call team", "ticked": "yes"}


@pytest.fixture
def service(settings: Settings) -> Iterator[Practised]:
    """The production service runs; nothing listens where staging should."""
    with practised() as running:
        settings.READYWIRE_CONTROL_TOKEN = TOKEN
        settings.REFERENCE_PORTS = (free_port(), int(running.ws.rpartition(":")[2]))
        reference_setup.prepare(settings.REFERENCE_PORTS)
        TargetStatus.objects.update(state="up")
        yield running


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def production() -> Target:
    return Target.objects.get(slug="production-chat")


def faults_of(service: Practised) -> list[str]:
    return [each["name"] for each in service.http.get("/control/faults").json()["faults"]]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_every_fault_is_offered_with_what_the_overview_will_say(service: Practised, rosa: Client) -> None:
    page = text(rosa.get("/practice/?env=production"))
    for fault in FAULTS.values():
        assert fault.title in page
        assert fault.effect in page
        assert fault.kind in page
    assert "Production chat closes before ready (1013)" in page
    assert "Production chat answers HTTP 503 instead of upgrading" in page
    assert "Nothing. Choose a fault below" not in page, "staging does not answer, so nobody knows"


def test_who_started_it_from_the_targets_page_comes_back_there(service: Practised, rosa: Client) -> None:
    assert '<input type="hidden" name="from" value="target">' in rosa.get(f"{START}?from=target").content.decode()
    assert rosa.post(START, {**SENT, "from": "target"})["Location"] == "/targets/production-chat/"
    assert "Practice:" in text(rosa.get("/targets/production-chat/"))


def test_a_service_that_does_not_answer_is_told_with_the_next_step(service: Practised, rosa: Client) -> None:
    page = text(rosa.get("/practice/?env=staging"))
    assert "Staging chat cannot be asked." in page
    assert "Start it with make serve, or read why it stopped:" in page
    assert "staging.log" in page
    assert "Start…" not in page


def test_a_service_that_hangs_is_given_up_and_told(rosa: Client, settings: Settings) -> None:
    """It takes the connection and never answers: the page comes all the same."""
    with socket.create_server(("127.0.0.1", 0)) as hung:
        settings.READYWIRE_CONTROL_TOKEN = TOKEN
        settings.REFERENCE_PORTS = (hung.getsockname()[1], free_port())
        reference_setup.prepare(settings.REFERENCE_PORTS)
        page = text(rosa.get("/practice/?env=staging"))
    assert "The staging service does not answer" in page


def test_a_service_that_answers_drop_by_drop_is_given_up_and_told(rosa: Client, settings: Settings) -> None:
    """Each drop comes in time, the whole does not."""

    async def dripping(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(30):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(CALL_SECONDS / 20)
        await send({"type": "http.response.body", "body": b'{"faults": []}'})

    with serving(dripping) as served:
        settings.READYWIRE_CONTROL_TOKEN = TOKEN
        settings.REFERENCE_PORTS = (served.port, free_port())
        reference_setup.prepare(settings.REFERENCE_PORTS)
        page = text(rosa.get("/practice/?env=staging"))
    assert "The staging service does not answer" in page


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"faults": [{}]}', b'{"faults": [{"name": "new"}]}'])
def test_what_answers_in_the_services_place_is_told(rosa: Client, settings: Settings, body: bytes) -> None:
    async def other(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    with serving(other) as served:
        settings.READYWIRE_CONTROL_TOKEN = TOKEN
        settings.REFERENCE_PORTS = (served.port, free_port())
        reference_setup.prepare(settings.REFERENCE_PORTS)
        page = text(rosa.get("/practice/?env=staging"))
    assert "Something else than the reference service answers" in page


def test_a_service_with_another_token_is_told_with_the_next_step(
    service: Practised, rosa: Client, settings: Settings
) -> None:
    settings.READYWIRE_CONTROL_TOKEN = "rwc_another"
    page = text(rosa.get("/practice/?env=production"))
    assert "The production service does not take our control token." in page
    assert "Restart make serve" in page


def test_without_reference_services_the_page_says_how_to_get_them_and_no_menu_leads_there(
    rosa: Client, settings: Settings
) -> None:
    settings.READYWIRE_CONTROL_TOKEN = ""
    page = rosa.get("/practice/")
    assert "No reference service here" in text(page)
    assert "make serve" in text(page)
    assert b'href="/practice/"' not in page.content


def test_the_menu_leads_there_for_those_who_may_act(service: Practised, rosa: Client) -> None:
    assert b'href="/practice/"' in rosa.get("/flags/").content
    assert b'href="/practice/"' not in signed_in("viewer").get("/flags/").content


def test_a_target_that_is_down_already_is_told_before_anything_is_started(service: Practised, rosa: Client) -> None:
    """Staging begins with `immediate`: there most faults would not show as themselves."""
    TargetStatus.objects.update(state="down")
    page = rosa.get("/practice/staging-chat/events_lost/")
    assert "Staging chat is down already : staging serves immediate" in text(page)
    assert b"/flags/staging/change/?flag.readiness-strategy=dependency_gate&amp;preview=1" in page.content
    assert "so that a fault would hardly show" in text(rosa.get(START))


def test_that_a_target_is_paused_or_under_practice_already_is_told(service: Practised, rosa: Client) -> None:
    Target.objects.update(paused_by="Ada")
    assert "Production chat is paused already : nothing probes it" in text(rosa.get(START))
    service.start("silence")
    rosa.get("/practice/")
    assert "A fault is on in Production chat already." in text(rosa.get(START))


def test_what_must_hold_is_told_with_the_targets_own_figures(service: Practised, rosa: Client) -> None:
    page = text(rosa.get("/practice/production-chat/events_late/"))
    assert "Here the deadline is 3&nbsp;s, and an event is late after 1&nbsp;s." in page


@pytest.mark.parametrize("path", ["/practice/", "/practice/on/", START])
def test_a_viewer_is_turned_away_with_the_names_of_those_who_may(service: Practised, path: str) -> None:
    signed_in("responder")
    answer = signed_in("viewer").get(path)
    assert answer.status_code == 403
    assert "Rosa" in text(answer)


@pytest.mark.parametrize("path", ["production-chat/nonsense/", "production-chat/nonsense/end/", "other/silence/"])
def test_what_does_not_exist_is_not_found(service: Practised, rosa: Client, path: str) -> None:
    method = rosa.post if path.endswith("end/") else rosa.get
    assert method(f"/practice/{path}").status_code == 404


def test_a_target_of_ones_own_takes_no_faults(service: Practised, rosa: Client) -> None:
    Target.objects.filter(slug="production-chat").update(is_reference=False)
    assert rosa.post(START, SENT).status_code == 404
    assert faults_of(service) == []


# --- starting and ending ----------------------------------------------------------------------------------------------


def test_a_fault_is_started_with_what_was_chosen_and_told_everywhere(service: Practised, rosa: Client) -> None:
    answer = rosa.post(START, {**SENT, "seconds": "7,5", "percent": "50", "lasts": "60"})
    assert answer["Location"] == "/practice/?env=production"
    [told] = service.http.get("/control/faults").json()["faults"]
    assert (told["parameters"], told["lasts_s"], told["by"]) == ({"seconds": 7.5, "percent": 50.0}, 60.0, "Rosa")
    page = text(rosa.get("/practice/")).replace("\u00a0", " ")
    assert "Slow setup 7.5 s, 50 % of connections" in page
    row = PracticedFault.objects.get()
    assert timedelta(seconds=40) < row.until - timezone.now() <= timedelta(seconds=60)
    record = AuditRecord.objects.get(action="practice.started")
    assert (record.actor, record.subject, record.environment_id) == ("Rosa", "production-chat", "production")
    assert record.reason == SENT["reason"]
    assert record.after is not None
    assert record.after["fault"] == "slow_setup"
    assert "Started a fault" in text(rosa.get("/audit/"))


def test_ending_it_now_ends_it_in_the_service_and_on_the_pages(service: Practised, rosa: Client) -> None:
    rosa.post(START, SENT)
    for _ in range(2):  # what has ended is not ended again
        assert rosa.post(f"{START}end/")["Location"] == "/practice/?env=production"
    assert faults_of(service) == []
    assert going_on(timezone.now()) == []
    assert AuditRecord.objects.filter(action="practice.ended", actor="Rosa").count() == 1


def test_all_faults_of_a_service_are_ended_at_once(service: Practised, rosa: Client) -> None:
    service.start("silence")
    rosa.post(START, SENT)
    assert "End all on Production chat" in text(rosa.get("/practice/"))
    rosa.post("/practice/production-chat/end/")
    assert faults_of(service) == []
    assert AuditRecord.objects.filter(action="practice.ended").count() == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seconds": "many"}, "Give a number from 0.1 to 60."),
        ({"seconds": "nan"}, "Give a number from 0.1 to 60."),
        ({"percent": "0"}, "Give a number from 1 to 100."),
        ({"lasts": "61"}, "Choose how long it lasts."),
        ({"lasts": ""}, "Choose how long it lasts."),
        ({"reason": "why"}, "Say why, in at least 3 words."),
        ({"ticked": ""}, "Tick the box: this service counts as production."),
    ],
)
def test_what_cannot_be_asked_for_is_told_and_nothing_typed_is_lost(
    service: Practised, rosa: Client, changed: dict[str, str], told: str
) -> None:
    answer = rosa.post(START, {**SENT, "seconds": "8", **changed})
    assert answer.status_code == 422
    assert told in text(answer)
    assert (b'value="8"' in answer.content) is ("seconds" not in changed)
    assert faults_of(service) == []
    assert not PracticedFault.objects.exists()


def test_a_fault_that_is_on_is_not_started_again(service: Practised, rosa: Client) -> None:
    rosa.post(START, SENT)
    again = rosa.post(START, SENT)
    assert again.status_code == 409
    assert "Slow setup is on there already. End it first." in text(again)
    assert AuditRecord.objects.filter(action="practice.started").count() == 1


def test_a_start_that_the_service_never_heard_is_told_and_leaves_nothing_behind(
    service: Practised, rosa: Client
) -> None:
    answer = rosa.post("/practice/staging-chat/slow_setup/", SENT)
    assert answer.status_code == 503
    assert "does not answer" in text(answer)
    assert not PracticedFault.objects.exists()
    assert not AuditRecord.objects.filter(action__startswith="practice").exists()


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_what_was_started_by_hand_is_told_and_audited_once_somebody_looks(service: Practised, rosa: Client) -> None:
    service.start("events_twice", event="agent_started")
    for _ in range(2):
        assert "Events twice agent_started" in text(rosa.get("/practice/on/"))
    assert [row.by for row in going_on(timezone.now())] == ["ada"]
    assert AuditRecord.objects.filter(action="practice.started", actor="ada").count() == 1


def test_what_a_restart_swept_away_is_told_no_more(service: Practised, rosa: Client) -> None:
    rosa.post(START, SENT)
    service.end()
    assert "Slow setup" not in text(rosa.get("/practice/on/"))
    assert AuditRecord.objects.get(action="practice.ended").actor == "readywire"


def test_what_was_started_while_the_service_was_asked_is_not_swept_away(service: Practised) -> None:
    asked_at = timezone.now()
    row = started(production(), On("silence", {}, 60.0, "ada"), by="ada", reason="", now=timezone.now())
    agree(production(), [], asked_at=asked_at)
    assert going_on(timezone.now()) == [row]


def test_a_fault_is_told_until_its_time_and_no_longer(service: Practised) -> None:
    now = timezone.now()
    row = started(production(), On("silence", {}, 60.0, "ada"), by="ada", reason="", now=now)
    assert going_on(now + timedelta(seconds=59)) == [row]
    assert going_on(now + timedelta(seconds=60)) == []
    assert ended(production(), "silence", by="ada", reason="", now=now + timedelta(seconds=61)) == 0


def test_a_look_that_finds_nothing_new_writes_nothing(
    service: Practised, rosa: Client, django_assert_num_queries: object
) -> None:
    rosa.post(START, SENT)
    before = AuditRecord.objects.count(), PracticedFault.objects.values_list("until", flat=True).get()
    rosa.get("/practice/on/")
    assert (AuditRecord.objects.count(), PracticedFault.objects.values_list("until", flat=True).get()) == before


# --- nobody takes it for an incident ----------------------------------------------------------------------------------


def test_the_pages_of_a_target_under_practice_say_so_and_others_do_not(service: Practised, rosa: Client) -> None:
    rosa.post(START, SENT)
    sentence = "Practice: slow setup on Production chat (production) until"
    for path in ("/", "/targets/production-chat/", "/targets/production-chat/race-checks/"):
        assert sentence in text(rosa.get(path)), path
        assert "started by Rosa. No incident. End it…" in text(rosa.get(path))
    assert "Practice:" not in text(rosa.get("/targets/staging-chat/"))
    rosa.post(f"{START}end/")
    assert "Practice:" not in text(rosa.get("/targets/production-chat/"))


def test_open_pages_learn_of_it_live(service: Practised, rosa: Client, settings: Settings) -> None:
    rosa.post(START, SENT)
    now = timezone.now()
    assert "Practice:" in TargetReader(production()).live(now)["story"]
    told = Topics(settings.DATA_DIR).compute("overview", now)
    assert told is not None
    assert "Practice:" in told["stories"]
    later = now + timedelta(minutes=6)
    assert "Practice:" not in TargetReader(production()).live(later)["story"]


def test_open_pages_are_woken_by_a_start_and_by_the_end_of_the_time(service: Practised, settings: Settings) -> None:
    """Also where no result and no Redis wakes them."""
    topics = Topics(settings.DATA_DIR)
    quiet, now = topics.pulse(), timezone.now()
    row = started(production(), On("silence", {}, 60.0, "ada"), by="ada", reason="", now=now)
    assert topics.pulse() != quiet
    PracticedFault.objects.filter(pk=row.pk).update(until=now)
    assert topics.pulse() == quiet


# --- words ------------------------------------------------------------------------------------------------------------


def test_a_strategy_that_opens_early_shows_a_fault_as_another_kind() -> None:
    fault = FAULTS["slow_setup"]
    assert words.sight(fault, {}, "dependency_gate").kind == "not_ready"
    assert words.sight(fault, {}, "immediate").kind == "false_ready"


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (252, "4 min 12 s"), (-3, "0 s")])
def test_the_time_left_is_told_in_minutes_and_seconds(seconds: float, told: str) -> None:
    assert words.time_left(seconds).replace("\u00a0", " ") == told
