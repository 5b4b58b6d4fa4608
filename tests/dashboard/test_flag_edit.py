"""Defining a flag on the page: fields, mistakes with their line, two editors at once, four eyes."""

import html
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from connections.flags import control, reading
from connections.models import Environment, Proposal, Version
from dashboard.flag_form import FlagForm
from tests.support.pages import Page, hidden_fields, text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
WHY = "we greet people now"
NEW = "/flags/staging/new-flag/"
EDIT = "/flags/staging/greeting/edit/"
BODY: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"short": "Hi", "long": "Good morning"},
    "defaultVariant": "short",
    "metadata": {"owner": "web", "safeVariant": "short", "tier": 2},
}


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


@pytest.fixture
def greeting(db: None) -> None:
    save(BODY)


def save(body: dict[str, Any] | None, environment: str = "staging", author: str = "Mara") -> None:
    newest = reading.current_version(environment).number
    control.define(environment, {"greeting": body}, author=author, reason=WHY, expected_version=newest)


def stored(environment: str = "staging") -> Any:
    return reading.flag_set(environment).definitions.get("greeting")


def typed(*, base: int | None = None, **changed: str) -> dict[str, str]:
    """The form as a browser sends it, with what was typed into it."""
    fields = FlagForm.of("greeting", BODY).hidden() | {"step": "preview"} | changed
    return fields | ({} if base is None else {"base": str(base)})


def confirm(client: Client, page: Page, address: str = EDIT, **more: str) -> Any:
    hidden = {name: html.unescape(value) for name, value in hidden_fields(page, "act-form").items()}
    return client.post(address, {**hidden, "reason": WHY, **more})


def test_a_form_gives_back_the_definition_that_it_shows() -> None:
    for body in reading.flag_set("staging").definitions.values():
        form = FlagForm.read(FlagForm.of("readiness-strategy", body).hidden(), "readiness-strategy")
        form.flag_key = "something-else"
        assert form.definition(None) == body, form.errors


def test_a_flag_is_defined_previewed_and_saved(rosa: Client) -> None:
    assert "Nothing changed yet" in text(rosa.get(NEW))
    page = rosa.post(NEW, typed())
    assert page.status_code == 200
    assert "Define greeting in staging" in text(page)
    assert "Everybody gets" in text(page)
    assert stored() is None
    answer = confirm(rosa, page, NEW)
    assert answer.status_code == 302, text(answer)
    assert stored() == BODY


@pytest.mark.usefixtures("greeting")
def test_an_edit_shows_what_is_there_and_keeps_what_it_has_no_field_for(rosa: Client) -> None:
    page = rosa.get(EDIT)
    assert "&quot;tier&quot;: 2" in page.content.decode()
    preview = rosa.post(EDIT, typed(description="What we say first"))
    assert confirm(rosa, preview).status_code == 302
    assert stored() == {**BODY, "metadata": {**BODY["metadata"], "description": "What we say first"}}


@pytest.mark.parametrize(
    ("field", "wrong", "told"),
    [
        ("variants", '{\n  "short": "Hi",\n  "long" "Good"\n}', "Line 3: no JSON: Expecting ':' delimiter."),
        ("variants", '{\n  "short": "Hi",\n  "short": "Ho"\n}', "Line 3, short: stands there twice."),
        ("variants", '{"short": NaN}', "No JSON: NaN is no number."),
        ("variants", '["short"]', "Write a JSON object: { … }."),
        ("variants", "", "Write an object with at least one variant"),
        ("variants", '{"short": "Hi", "long": 2}', "variants"),
        ("default", "tall", "DefaultVariant is one of the variants."),
        ("targeting", '{"if": [1]', "Line 1: no JSON"),
        ("targeting", '{"nonsense": []}', "nonsense"),
        ("safe", "tall", "safeVariant is one of the variants."),
        ("remove_by", "soon", "removeBy"),
        ("more", '{"a": [1]}', "metadata holds text, numbers and booleans only."),
        ("schema", '{"type": "integer"}', "variants"),
        ("tags", "Not A Tag", "tags are at most"),
    ],
)
@pytest.mark.usefixtures("greeting")
def test_a_mistake_names_field_and_line_and_keeps_what_was_typed(
    rosa: Client, field: str, wrong: str, told: str
) -> None:
    page = rosa.post(EDIT, typed() | {field: wrong, "description": "typed for a long time"})
    assert page.status_code == 422
    whole = page.content.decode().replace("&#x27;", "'").replace("&quot;", '"')
    assert told.lower() in whole.lower()
    assert "typed for a long time" in whole
    assert wrong in whole
    assert Version.objects.filter(environment="staging").count() == 2


@pytest.mark.usefixtures("greeting")
def test_a_mistake_inside_an_object_names_its_line(rosa: Client) -> None:
    schema = '{"type": "string", "maxLength": 5}'
    page = rosa.post(EDIT, typed(schema=schema))
    assert page.status_code == 422
    assert "Variants: Line 3: variants.long" in text(page)


@pytest.mark.parametrize("key", ["", "a b", "x" * 101, "ä", "../etc"])
def test_a_key_that_is_none_is_refused(rosa: Client, key: str) -> None:
    page = rosa.post(NEW, typed(flag_key=key))
    assert page.status_code == 422
    assert "A key has 1 to 100 letters" in text(page)


@pytest.mark.usefixtures("greeting")
def test_a_new_flag_does_not_replace_one_that_is_there(rosa: Client) -> None:
    page = rosa.post(NEW, typed())
    assert page.status_code == 422
    assert "There is a flag greeting here already" in text(page)


# Two editors


@pytest.mark.usefixtures("greeting")
def test_changes_of_different_fields_are_both_kept(rosa: Client) -> None:
    save({**BODY, "metadata": {**BODY["metadata"], "owner": "chat"}})
    page = rosa.post(EDIT, typed(base=2, default="long"))
    assert page.status_code == 200
    shown = text(page)
    assert "Somebody changed this flag since you began." in shown
    assert "metadata.owner" in shown
    assert confirm(rosa, page).status_code == 302
    assert (stored()["defaultVariant"], stored()["metadata"]["owner"]) == ("long", "chat")


@pytest.mark.usefixtures("greeting")
def test_where_both_changed_one_field_a_person_chooses(rosa: Client) -> None:
    save({**BODY, "variants": {"short": "Hey", "long": "Good morning"}})
    mine = json.dumps({"short": "Yo", "long": "Good morning"})
    page = rosa.post(EDIT, typed(base=2, variants=mine))
    assert page.status_code == 409
    shown = text(page)
    assert "Choose whose stays, then preview again. What you typed is kept." in shown
    for value in ("Hi", "Hey", "Yo"):
        assert f"&quot;{value}&quot;" in shown
    assert 'id="act-form"' not in page.content.decode()
    settled = rosa.post(EDIT, typed(base=2, variants=mine, **{"choose.variants.short": "yours"}))
    assert settled.status_code == 200
    assert confirm(rosa, settled).status_code == 302
    assert stored()["variants"]["short"] == "Yo"


@pytest.mark.usefixtures("greeting")
def test_a_change_between_preview_and_saving_loses_nothing(rosa: Client) -> None:
    preview = rosa.post(EDIT, typed(base=2, default="long"))
    save({**BODY, "metadata": {**BODY["metadata"], "owner": "chat"}})
    late = confirm(rosa, preview)
    assert late.status_code == 409
    assert "Nothing was changed" in text(late)
    assert "metadata.owner" in text(late)
    assert confirm(rosa, late).status_code == 302
    assert (stored()["defaultVariant"], stored()["metadata"]["owner"]) == ("long", "chat")


@pytest.mark.usefixtures("greeting")
def test_a_flag_that_was_removed_meanwhile_is_a_choice(rosa: Client) -> None:
    save(None)
    page = rosa.post(EDIT, typed(base=2, default="long"))
    assert page.status_code == 409
    kept = rosa.post(EDIT, typed(base=2, default="long", **{"choose.": "yours"}))
    assert confirm(rosa, kept).status_code == 302
    assert stored()["defaultVariant"] == "long"


@pytest.mark.usefixtures("greeting")
def test_a_merge_that_clients_would_not_understand_is_refused(rosa: Client) -> None:
    save({**BODY, "variants": {"short": "Hi"}})
    page = rosa.post(EDIT, typed(base=2, default="long"))
    assert page.status_code == 422
    assert "defaultVariant is one of the variants" in text(page).replace("DefaultVariant", "defaultVariant")


# Policy


def test_an_edit_is_proposed_where_two_are_asked_for(rosa: Client) -> None:
    Environment.objects.filter(key="staging").update(four_eyes=True)
    page = rosa.post(NEW, typed())
    assert "Propose to define greeting in staging" in text(page)
    confirm(rosa, page, NEW)
    assert stored() is None
    ada = signed_in("administrator")
    ada.post(f"/flags/proposals/{Proposal.objects.get().pk}/approve/")
    assert stored() == BODY


@pytest.mark.usefixtures("greeting")
def test_a_flag_is_removed_and_restored(rosa: Client) -> None:
    address = "/flags/staging/greeting/remove/"
    page = rosa.get(address)
    assert "Remove greeting in staging" in text(page)
    confirm(rosa, page, address)
    assert stored() is None
    assert rosa.get(EDIT).status_code == rosa.get(address).status_code == 404


def test_a_viewer_edits_nothing() -> None:
    vera = signed_in("viewer")
    assert vera.get(NEW).status_code == vera.post(NEW, typed()).status_code == 403


@given(st.dictionaries(st.sampled_from([*FlagForm().hidden(), "base"]), st.text(max_size=60)))
def test_whatever_is_typed_the_form_answers(sent: dict[str, str]) -> None:
    form = FlagForm.read(sent, "")
    assert form.definition(None) is not None or form.errors
