"""The keys page: an administrator makes, replaces and revokes server keys; each is shown once."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from connections.flags import keys
from connections.models import AuditRecord, ServerKey
from dashboard.models import Submission
from tests.support.pages import Page, hidden_fields, text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
WHY = "A new chat service"


@pytest.fixture
def ada() -> Client:
    return signed_in("administrator")


def form_of(page: Page) -> dict[str, str]:
    return hidden_fields(page, "key-form")


def shown(page: Page) -> str:
    found = re.search(r'id="secret">(rws_[^<]+)<', page.content.decode())
    assert found
    return found[1]


def make(ada: Client, **typed: str) -> Page:
    sent = {"environment": "staging", "name": "chat", "scope": "server", "reason": WHY}
    return ada.post("/keys/make/", {**form_of(ada.get("/keys/make/")), **sent, **typed})


def test_only_administrators_see_it_and_find_it_in_the_menu(ada: Client) -> None:
    rosa = signed_in("responder")
    assert rosa.get("/keys/").status_code == 403
    assert "/keys/" not in rosa.get("/flags/").content.decode()
    assert 'href="/keys/"' in ada.get("/flags/").content.decode()


def test_a_key_is_made_shown_once_and_kept_nowhere(ada: Client) -> None:
    page = make(ada)
    key = shown(page)
    holder = keys.verify(key)
    assert holder is not None
    assert (holder.environment, holder.name, holder.read_only) == ("staging", "chat", False)
    assert "no-store" in page["Cache-Control"]  # type: ignore[index]  # a response
    stored = str(list(ServerKey.objects.values())) + str(list(Submission.objects.values()))
    stored += str(list(AuditRecord.objects.values())) + ada.get("/keys/").content.decode()
    assert key not in stored
    assert key[:12] in stored
    record = AuditRecord.objects.get()
    assert (record.actor, record.action, record.reason) == ("Ada", "server_key.create", WHY)


def test_a_form_sent_twice_makes_one_key_and_says_that_it_was_shown(ada: Client) -> None:
    sent = {**form_of(ada.get("/keys/make/")), "environment": "staging", "name": "chat", "scope": "read", "reason": WHY}
    assert keys.verify(shown(ada.post("/keys/make/", sent)))
    again = ada.post("/keys/make/", sent, follow=True)
    assert "cannot be shown again" in text(again)
    assert ServerKey.objects.get().scope == "read"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"name": " "}, "Name what will use it"),
        ({"name": "a" * 101}, "at most 100 characters"),
        ({"tags": "Chat!"}, "Tags are at most 20 words"),
        ({"scope": "everything"}, "Choose what it may do."),
        ({"environment": "nowhere"}, "Choose an environment."),
        ({"reason": "because"}, "Say why, in at least 3 words"),
        ({"environment": "production"}, "Typed name does not match production."),
        ({"key": ""}, "This form is incomplete."),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_made(ada: Client, typed: dict[str, str], said: str) -> None:
    page = make(ada, **typed)
    assert said in text(page)
    assert page.status_code == 422  # type: ignore[attr-defined]  # a response
    assert not ServerKey.objects.exists()


def test_a_key_may_select_flags_by_tags(ada: Client) -> None:
    holder = keys.verify(shown(make(ada, tags="chat, billing")))
    assert holder is not None
    assert holder.tags == {"chat", "billing"}
    assert "tags billing, chat" in text(ada.get("/keys/"))


def test_a_key_of_production_asks_for_its_name(ada: Client) -> None:
    assert keys.verify(shown(make(ada, environment="production", typed="production")))


def test_a_rotation_leaves_both_keys_working_until_the_old_one_is_revoked(ada: Client) -> None:
    old, secret = keys.create("production", "chat", author="Ada")
    page = ada.get(f"/keys/{old.pk}/rotate/")
    new = shown(ada.post(f"/keys/{old.pk}/rotate/", {**form_of(page), "grace": "", "reason": WHY}))
    assert keys.verify(secret)
    assert keys.verify(new)
    assert f"{new[:12]} takes over, but is not used yet" in text(ada.get("/keys/"))
    keys.note_use(ServerKey.objects.get(replaces=old).pk, timezone.now())
    assert f"{new[:12]} has taken over: revoke this one." in text(ada.get("/keys/"))
    page = ada.get(f"/keys/{old.pk}/revoke/")
    refused = ada.post(f"/keys/{old.pk}/revoke/", {**form_of(page), "reason": WHY})
    assert (refused.status_code, "Tick the box" in text(refused)) == (422, True)
    ada.post(f"/keys/{old.pk}/revoke/", {**form_of(page), "reason": WHY, "ticked": "yes"})
    assert keys.verify(secret) is None
    assert keys.verify(new)
    assert [record.action for record in AuditRecord.objects.all()][:2] == ["server_key.revoke", "server_key.rotate"]


def test_an_old_key_may_end_by_itself(ada: Client) -> None:
    old, secret = keys.create("staging", "chat", author="Ada")
    sent = {**form_of(ada.get(f"/keys/{old.pk}/rotate/")), "grace": "24", "reason": WHY}
    assert "works until" in text(ada.post(f"/keys/{old.pk}/rotate/", sent))
    assert "Ends" in text(ada.get("/keys/"))
    ServerKey.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert keys.verify(secret) is None
    assert "expired" in text(ada.get("/keys/"))


def test_a_key_that_has_ended_cannot_be_rotated(ada: Client) -> None:
    old, _ = keys.create("staging", "chat", author="Ada")
    page = ada.get(f"/keys/{old.pk}/rotate/")
    keys.revoke(old, author="Ada")
    refused = ada.post(f"/keys/{old.pk}/rotate/", {**form_of(page), "grace": "", "reason": WHY})
    assert (refused.status_code, "no longer works" in text(refused)) == (409, True)


def test_revoking_a_key_in_use_says_what_that_does(ada: Client) -> None:
    row, _ = keys.create("staging", "chat", author="Ada")
    keys.note_use(row.pk, timezone.now())
    assert "servers keep the flags that they hold" in text(ada.get(f"/keys/{row.pk}/revoke/"))


def test_an_unknown_key_is_no_page(ada: Client) -> None:
    assert ada.get("/keys/999/revoke/").status_code == 404
