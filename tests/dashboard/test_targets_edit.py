"""Adding, changing, pausing and resuming targets: bad input is told beside its field, and nothing typed is lost."""

import pytest
import yaml
from django.test import Client

from connections.models import AuditRecord
from probes.credentials import unseal
from probes.models import Target
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
TYPED = {
    "name": "Orders feed",
    "environment": "staging",
    "url": "wss://orders.example/ws",
    "interval": "5",
    "deadline": "2.5",
    "objective": "600",
    "success": "99.9",
    "tags": "orders, eu",
    "token": "",
    "script": 'events: []\ntrigger: \'{"echo": "{nonce}"}\'\n',
    "locations": "local",
    "key": "k" * 32,
}


@pytest.fixture
def ada() -> Client:
    return signed_in("administrator")


def test_a_target_is_added_and_its_page_opened(ada: Client) -> None:
    answer = ada.post("/targets/add/", TYPED)
    assert (answer.status_code, answer["Location"]) == (302, "/targets/orders-feed/")
    target = Target.objects.get(slug="orders-feed")
    assert (target.interval_ms, target.deadline_ms, target.success_objective) == (5000, 2500, 0.999)
    assert target.tags == ["orders", "eu"]
    assert target.script["events"] == []
    row = AuditRecord.objects.get(action="target.created")
    assert (row.actor, row.subject) == ("Ada", "orders-feed")


def test_the_form_offers_what_a_new_target_would_be(ada: Client) -> None:
    page = ada.get("/targets/add/?env=production").content.decode()
    assert '<option value="production" selected>' in page
    assert 'value="5"' in page
    assert "agent_started" in page


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("url", "https://orders.example", "ws://"),
        ("url", "", "The address is empty. Write it as wss://host[:port]/path."),
        ("url", "wss://me:secret@orders.example/ws", "The address holds a name or password."),
        ("url", "wss://orders.example/ws#top", "The address has a fragment"),
        ("name", " ", "The name&#x27;s short form has 1 to 80"),
        ("name", "Add", "The name is taken by an address of this site."),
        ("interval", "soon", "Write seconds, for example 5 or 0.5."),
        ("interval", "0.1", "Must lie between 0.25 and 86,400 seconds."),
        ("interval", "nan", "Write seconds"),
        ("deadline", "inf", "Write seconds"),
        ("deadline", "61", "Must lie between 0.1 and 60 seconds."),
        ("objective", "-1", "Write whole milliseconds"),
        ("success", "100", "Must lie between 50 and 99.999 per cent."),
        ("script", "events: [a, a]", "line 1: events: names the same thing twice"),
        ("script", "a: [", "is no YAML"),
        ("environment", "moon", "does not exist. Use"),
        ("locations", "mars", "mars does not exist. Use local."),
        ("residents", "501", "Write a whole number from 0 to 500."),
        ("residents", "", "Write a whole number from 0 to 500."),
        ("resident_hold_s", "59", "Write a whole number from 60 to 86,400."),
        ("resident_every_s", "1.5", "Write a whole number from 1 to 3,600."),
    ],
)
def test_bad_input_is_told_beside_its_field_and_nothing_typed_is_lost(
    ada: Client, field: str, typed: str, told: str
) -> None:
    answer = ada.post("/targets/add/", {**TYPED, field: typed})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert f'id="{field}-error"' in page
    assert told in text(answer)
    assert "<title>Error:" in page
    if field != "name":
        assert 'value="Orders feed"' in page
    assert not Target.objects.filter(url=TYPED["url"]).exists()


def test_all_unreadable_fields_are_told_at_once(ada: Client) -> None:
    page = ada.post("/targets/add/", {**TYPED, "interval": "x", "objective": "y", "success": "z"}).content.decode()
    assert all(f'id="{name}-error"' in page for name in ("interval", "objective", "success"))


def test_a_name_taken_is_told(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    answer = ada.post("/targets/add/", {**TYPED, "key": "m" * 32})
    assert "is taken by another target" in text(answer)


def test_the_same_form_sent_twice_adds_one_target(ada: Client) -> None:
    for _ in range(2):
        assert ada.post("/targets/add/", TYPED)["Location"] == "/targets/orders-feed/"
    assert Target.objects.filter(slug="orders-feed").count() == 1


def test_a_target_is_changed_with_before_and_after(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    changed = {**TYPED, "key": "c" * 32, "name": "Orders", "interval": "10"}
    assert ada.post("/targets/orders-feed/edit/", changed)["Location"] == "/targets/orders-feed/"
    row = AuditRecord.objects.get(action="target.changed")
    assert row.before is not None
    assert row.after is not None
    assert (row.before["interval_ms"], row.after["interval_ms"]) == (5000, 10000)
    assert Target.objects.get(slug="orders-feed").name == "Orders"


def test_the_edit_form_shows_what_is_stored_and_never_the_token(ada: Client) -> None:
    ada.post("/targets/add/", {**TYPED, "token": "s3cret"})
    page = ada.get("/targets/orders-feed/edit/").content.decode()
    assert 'value="wss://orders.example/ws"' in page
    assert 'value="2.5"' in page
    assert "One is stored, encrypted." in page
    assert "s3cret" not in page


def test_a_token_is_kept_replaced_and_forgotten(ada: Client) -> None:
    def token() -> object:
        return unseal(Target.objects.get(slug="orders-feed").credentials).get("token")

    ada.post("/targets/add/", {**TYPED, "token": "first"})
    ada.post("/targets/orders-feed/edit/", {**TYPED, "key": "a" * 32})
    assert token() == "first"
    ada.post("/targets/orders-feed/edit/", {**TYPED, "key": "b" * 32, "token": "second"})
    assert token() == "second"
    ada.post("/targets/orders-feed/edit/", {**TYPED, "key": "c" * 32, "forget_token": "yes"})
    assert token() is None


def test_what_the_form_shows_can_be_sent_back_unchanged(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    before = Target.objects.get(slug="orders-feed").script
    shown = yaml.safe_dump(before, sort_keys=False)
    ada.post("/targets/orders-feed/edit/", {**TYPED, "key": "d" * 32, "script": shown})
    assert Target.objects.get(slug="orders-feed").script == before
    assert not AuditRecord.objects.filter(action="target.changed").exists()


def test_a_responder_pauses_and_resumes_but_does_not_edit(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    rosa = signed_in("responder")
    assert rosa.get("/targets/orders-feed/edit/").status_code == 403
    assert rosa.get("/targets/add/").status_code == 403
    sent = {"minutes": "60", "reason": "vendor maintains it tonight"}
    assert rosa.post("/targets/orders-feed/pause/", sent)["Location"] == "/targets/orders-feed/"
    target = Target.objects.get(slug="orders-feed")
    assert target.paused_by == "Rosa"
    assert target.paused_until is not None
    assert "Paused by Rosa until" in text(rosa.get("/targets/orders-feed/pause/"))
    rosa.post("/targets/orders-feed/resume/")
    assert not Target.objects.get(slug="orders-feed").paused


def test_pausing_needs_a_reason_and_a_known_length(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    answer = ada.post("/targets/orders-feed/pause/", {"minutes": "7", "reason": "because"})
    assert answer.status_code == 422
    assert "Choose how long." in text(answer)
    assert "Say why, in at least 3 words." in text(answer)
    assert "because</textarea>" in answer.content.decode()
    assert not Target.objects.get(slug="orders-feed").paused


def test_pausing_twice_keeps_the_first(ada: Client) -> None:
    ada.post("/targets/add/", TYPED)
    for name in ("Rosa", "Mara"):
        sent = {"minutes": "", "reason": "vendor maintains it tonight"}
        signed_in("responder", name=name).post("/targets/orders-feed/pause/", sent)
    target = Target.objects.get(slug="orders-feed")
    assert (target.paused_by, target.paused_until) == ("Rosa", None)


def test_an_unknown_target_is_not_found(ada: Client) -> None:
    assert ada.get("/targets/nowhere/edit/").status_code == 404


def test_an_address_that_probes_would_refuse_is_told_at_once_and_stored_all_the_same(ada: Client) -> None:
    """As typed, and whenever the form is opened again; it names the setting."""
    told = "Probes will not dial this: 10.1.2.3 is a private address; allow it in PROBE_ALLOW"
    assert told in text(ada.get("/targets/add/address/", {"url": "ws://10.1.2.3/ws"}))
    assert "will not dial" not in text(ada.get("/targets/add/address/", {"url": "wss://orders.example/ws"}))
    assert ada.post("/targets/add/", {**TYPED, "url": "ws://10.1.2.3/ws"}).status_code == 302
    assert told in text(ada.get("/targets/orders-feed/edit/"))


def test_long_lived_connections_are_asked_for_in_plain_numbers(ada: Client) -> None:
    residents = {"residents": "4", "resident_hold_s": "600", "resident_every_s": "30"}
    ada.post("/targets/add/", {**TYPED, **residents})
    target = Target.objects.get(slug="orders-feed")
    assert (target.residents, target.resident_hold_s, target.resident_every_s) == (4, 600, 30)
    page = ada.get("/targets/orders-feed/edit/").content.decode()
    assert 'name="residents" type="text" value="4"' in page


def test_a_form_that_does_not_know_residents_leaves_them_as_they_are(ada: Client) -> None:
    ada.post("/targets/add/", {**TYPED, "residents": "4", "resident_hold_s": "600", "resident_every_s": "30"})
    ada.post("/targets/orders-feed/edit/", {**TYPED, "key": "m" * 32, "interval": "7"})
    target = Target.objects.get(slug="orders-feed")
    assert (target.interval_ms, target.residents) == (7000, 4)
