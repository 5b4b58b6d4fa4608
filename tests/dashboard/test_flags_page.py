"""The flags pages: what is served, changing it with a preview and a reason, undoing it, restoring any version."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connections.flags import control, reading
from connections.gate.strategies import STRATEGIES
from connections.models import AuditRecord, Environment, Revision, Version, WatchedServer
from dashboard.queries_flags import flags_state, took
from tests.support.pages import Page, hidden_fields, text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db
WHY = "Answers vanish mid-conversation"
CHANGE = "/flags/staging/change/"


def form_of(page: Page) -> dict[str, str]:
    """The hidden fields of the page's act."""
    return hidden_fields(page, "act-form")


def served(environment: str, flag: str) -> str:
    return str(reading.flag_set(environment).definitions[flag]["defaultVariant"])


def server(instance: str, *, holds: int, environment: str = "staging", late_ms: int = 180, silent_s: float = 0) -> None:
    """A watched server that reported `holds`, `late_ms` after that revision was made."""
    made = Revision.objects.get(environment_id=environment, number=holds).at
    WatchedServer.objects.create(
        environment_id=environment,
        instance=instance,
        key_name="test",
        library_version="0.1.0",
        held_revision=holds,
        held_since=made + timedelta(milliseconds=late_ms),
        reported_at=timezone.now() - timedelta(seconds=silent_s),
    )


def change(flag: str, variant: str, environment: str = "staging") -> None:
    newest = reading.current_version(environment).number
    control.change(environment, {flag: variant}, author="Mara", reason="faster first token", expected_version=newest)


@pytest.fixture
def rosa() -> Client:
    return signed_in("responder")


def preview(client: Client, address: str = CHANGE, **values: str) -> Page:
    chosen = {f"flag.{key.replace('_', '-')}": value for key, value in values.items()}
    return client.get(address, {**chosen, "preview": "1"})


# The page


def test_the_page_tells_the_revision_why_it_is_served_and_every_flag(rosa: Client) -> None:
    page = text(rosa.get("/flags/?env=staging"))
    assert "Staging serves revision 1 since" in page
    assert "The flags that Readywire brings." in page
    for key in reading.flag_set("staging").definitions:
        assert key in page
    assert "No watched server has reported yet." in page


def test_the_parameters_are_told_with_a_line_for_each_strategy(rosa: Client) -> None:
    page = rosa.get("/flags/?env=development").content.decode()
    for line in ("fixed_delay: milliseconds 100", "progressive_delay: steps_ms [10]", "client_init: timeout_seconds 3"):
        assert f">{line}</div>" in page


def test_all_nine_strategies_can_be_chosen(rosa: Client) -> None:
    page = rosa.get(CHANGE).content.decode()
    for name in STRATEGIES:
        assert f'<option value="{name}"' in page


def test_without_a_choice_the_page_shows_staging(rosa: Client) -> None:
    assert "Staging serves revision" in text(rosa.get("/flags/"))


def test_an_unknown_environment_is_not_found(rosa: Client) -> None:
    assert rosa.get("/flags/?env=moon").status_code == 404
    assert rosa.get("/flags/moon/change/").status_code == 404


def test_a_viewer_reads_who_may_change_instead_of_buttons() -> None:
    signed_in("responder")
    page = signed_in("viewer").get("/flags/?env=staging")
    assert "You can see flags but not change them. Responders: Rosa." in text(page)
    assert CHANGE not in page.content.decode()


def test_the_page_names_the_servers_that_are_behind(rosa: Client) -> None:
    control.change(
        "staging", {"readiness-strategy": "immediate"}, author="Rosa", reason="a try of ours", expected_version=1
    )
    server("chat-1", holds=2)
    server("chat-2", holds=1)
    page = text(rosa.get("/flags/?env=staging"))
    assert "1 of 2 servers hold revision 2, slowest 180 ms. Behind: chat-2." in page
    assert "holds revision 2, after 180 ms" in page
    assert "still holds revision 1" in page


def test_a_silent_server_is_named_and_not_counted() -> None:
    server("chat-1", holds=1)
    server("chat-2", holds=1, silent_s=60)
    state = flags_state("staging")
    assert (state["held"], state["total"]) == (1, 1)
    assert state["sentence"].endswith("No report lately: chat-2.")


def test_a_server_gone_for_an_hour_is_forgotten() -> None:
    server("chat-1", holds=1, silent_s=3700)
    assert flags_state("staging")["servers"] == []


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(milliseconds=180), "180 ms"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=91), "1 h"),
        (timedelta(days=2, hours=23), "2 d"),
    ],
)
def test_spans_round_down(span: timedelta, words: str) -> None:
    assert took(span) == words


def test_the_history_is_paged(rosa: Client) -> None:
    for number in range(1, 24):
        strategy = "immediate" if number % 2 else "fixed_delay"
        control.change(
            "staging",
            {"readiness-strategy": strategy},
            author="Rosa",
            reason=f"step {number} of many",
            expected_version=number,
        )
    page = rosa.get("/flags/?env=staging").content.decode()
    row = 'class="tag" href="/flags/staging/revisions/'
    assert page.count(row) == 20
    older = re.search(r"before=(\d+)", page)
    assert older is not None
    assert (
        rosa.get(f"/flags/?env=staging&before={older[1]}")
        .content.decode()
        .count('class="tag" href="/flags/staging/revisions/')
        == 4
    )


def test_the_page_asks_the_database_no_more_for_a_long_history(
    rosa: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(20):
        rosa.get("/flags/?env=staging")


# Changing


def test_the_preview_shows_the_difference_and_writes_nothing(rosa: Client) -> None:
    page = preview(rosa, readiness_strategy="immediate")
    assert '<del class="diff-del">dependency_gate</del>' in page.content.decode()
    assert '<ins class="diff-add">immediate</ins>' in page.content.decode()
    assert "Change readiness-strategy in staging" in text(page)
    assert Version.objects.filter(environment="staging").count() == 1


def test_choosing_what_is_served_already_says_so(rosa: Client) -> None:
    assert "Nothing would change: already so." in text(preview(rosa, readiness_strategy="dependency_gate"))


def test_a_change_with_a_reason_is_served_and_leads_to_its_revision(rosa: Client) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY}
    answer = rosa.post(CHANGE, sent)
    assert (answer.status_code, answer["Location"]) == (302, "/flags/staging/revisions/2/")
    assert served("staging", "readiness-strategy") == "immediate"
    page = text(rosa.get(answer["Location"]))
    assert "Revision 2 is served" in page
    assert f"Rosa: {WHY}" in page
    assert "Undo revision 2…" in page
    row = AuditRecord.objects.get(action="flags.change")
    assert (row.actor, row.reason) == ("Rosa", WHY)


@pytest.mark.parametrize("reason", ["", "  ", "two words"])
def test_without_a_reason_nothing_changes_and_the_field_says_so(rosa: Client, reason: str) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": reason}
    answer = rosa.post(CHANGE, sent)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert page.count("Say why, in at least 3 words.") == 2, "once in the summary, once beside the field"
    assert 'aria-describedby="reason-error"' in page
    assert "<title>Error:" in page
    assert 'value="immediate" selected' in page, "the choice is kept"
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_a_refused_form_may_be_sent_again_with_the_same_key(rosa: Client) -> None:
    sent = form_of(preview(rosa, readiness_strategy="immediate"))
    again = form_of(rosa.post(CHANGE, {**sent, "reason": ""}))
    assert again["key"] == sent["key"]
    assert rosa.post(CHANGE, {**again, "reason": WHY}).status_code == 302


def test_production_asks_for_its_name_before_something_new(rosa: Client) -> None:
    address = "/flags/production/change/"
    sent = {**form_of(preview(rosa, address, readiness_strategy="immediate")), "reason": WHY}
    refused = rosa.post(address, {**sent, "typed": "prod"})
    assert refused.status_code == 422
    assert "Typed name does not match production." in text(refused)
    assert WHY in refused.content.decode(), "the reason is kept"
    assert served("production", "readiness-strategy") == "dependency_gate"
    assert rosa.post(address, {**sent, "typed": "production"}).status_code == 302


def test_an_unknown_variant_is_refused_by_name(rosa: Client) -> None:
    assert "has no variant &#x27;magic&#x27;" in preview(rosa, readiness_strategy="magic").content.decode()
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY, "flag.readiness-strategy": "magic"}
    assert rosa.post(CHANGE, sent).status_code == 422
    assert Version.objects.filter(environment="staging").count() == 1


def test_an_unknown_flag_is_refused_by_name(rosa: Client) -> None:
    assert "There is no flag &#x27;warp-drive&#x27; here" in preview(rosa, warp_drive="on").content.decode()


def test_a_form_without_its_key_is_refused(rosa: Client) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY, "key": ""}
    answer = rosa.post(CHANGE, sent)
    assert answer.status_code == 422
    assert "This form is incomplete." in text(answer)


def test_the_same_form_sent_twice_makes_one_version_and_says_so(rosa: Client) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY}
    rosa.post(CHANGE, sent)
    second = rosa.post(CHANGE, sent)
    assert second["Location"] == "/flags/staging/revisions/2/?again=1"
    assert "Already done" in text(rosa.get(second["Location"]))
    assert Version.objects.filter(environment="staging").count() == 2


# Two people at once


def test_a_stale_change_is_refused_with_what_changed_and_keeps_the_words(rosa: Client) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY}
    control.change("staging", {"client-ack": "off"}, author="Mara", reason="clients answer late", expected_version=1)
    refused = rosa.post(CHANGE, sent)
    page = text(refused)
    assert refused.status_code == 409
    assert "Revision 2 was made by Mara at" in page
    assert "so your change to version 1 was not saved" in page
    assert '<ins class="diff-add">off</ins>' in refused.content.decode(), "what Mara changed"
    assert '<ins class="diff-add">immediate</ins>' in refused.content.decode(), "what Rosa wanted"
    assert WHY in refused.content.decode()
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_after_looking_the_stale_change_is_sent_again_and_keeps_the_others(rosa: Client) -> None:
    sent = {**form_of(preview(rosa, readiness_strategy="immediate")), "reason": WHY}
    control.change("staging", {"client-ack": "off"}, author="Mara", reason="clients answer late", expected_version=1)
    again = {**form_of(rosa.post(CHANGE, sent)), "reason": WHY}
    assert rosa.post(CHANGE, again).status_code == 302
    assert (served("staging", "readiness-strategy"), served("staging", "client-ack")) == ("immediate", "off")


def test_values_left_alone_do_not_undo_what_somebody_else_changed(rosa: Client) -> None:
    """All selects are sent; only those the person moved count."""
    control.change("staging", {"client-ack": "off"}, author="Mara", reason="clients answer late", expected_version=1)
    page = rosa.get(
        CHANGE, {"seen": "1", "flag.readiness-strategy": "immediate", "flag.client-ack": "on", "preview": "1"}
    )
    assert form_of(page).keys() == {"key", "expected_version", "flag.readiness-strategy"}
    assert "Changed by others since you opened this page" in text(page)


# Undo and restore


def test_undoing_the_newest_revision_serves_what_was_served_before(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    page = rosa.get("/flags/staging/undo/2/")
    assert "Serves again what revision 1 served." in text(page)
    answer = rosa.post("/flags/staging/undo/2/", {**form_of(page), "reason": WHY})
    assert answer["Location"] == "/flags/staging/revisions/3/"
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_undoing_an_older_revision_takes_back_only_what_it_changed(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    change("client-ack", "off")
    page = rosa.get("/flags/staging/undo/2/")
    assert "Only what revision 2 changed goes back." in text(page)
    rosa.post("/flags/staging/undo/2/", {**form_of(page), "reason": WHY})
    assert (served("staging", "readiness-strategy"), served("staging", "client-ack")) == ("dependency_gate", "off")


def test_undoing_what_was_changed_again_since_says_that_it_stays(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    change("readiness-strategy", "fixed_delay")
    page = text(rosa.get("/flags/staging/undo/2/"))
    assert "readiness-strategy stays: it was changed again since." in page
    assert "Nothing would change: already so." in page


def test_undo_sent_twice_does_not_undo_the_undo(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    sent = {**form_of(rosa.get("/flags/staging/undo/2/")), "reason": WHY}
    rosa.post("/flags/staging/undo/2/", sent)
    assert rosa.post("/flags/staging/undo/2/", sent)["Location"].endswith("/revisions/3/?again=1")
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_two_people_undoing_at_once_undo_once(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    forms = [form_of(rosa.get("/flags/staging/undo/2/")) for _ in range(2)]
    first, second = (rosa.post("/flags/staging/undo/2/", {**sent, "reason": WHY}) for sent in forms)
    assert (first.status_code, second.status_code) == (302, 409)
    assert served("staging", "readiness-strategy") == "dependency_gate"


def test_undo_in_production_asks_for_a_tick(rosa: Client) -> None:
    change("readiness-strategy", "immediate", "production")
    address = "/flags/production/undo/2/"
    page = rosa.get(address)
    assert "I am changing production" in text(page)
    sent = {**form_of(page), "reason": WHY}
    refused = rosa.post(address, sent)
    assert "Tick the box: this changes production." in text(refused)
    assert rosa.post(address, {**sent, "ticked": "yes"}).status_code == 302


def test_the_first_revision_cannot_be_undone(rosa: Client) -> None:
    assert rosa.get("/flags/staging/undo/1/").status_code == 404


def test_any_version_is_restored_as_a_new_one(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    change("client-ack", "off")
    page = rosa.get("/flags/staging/restore/1/")
    rosa.post("/flags/staging/restore/1/", {**form_of(page), "reason": WHY})
    newest = reading.current_version("staging")
    assert (newest.number, newest.kind) == (4, "revert")
    assert newest.set_hash == Version.objects.get(environment="staging", number=1).set_hash


def test_restoring_a_version_that_never_was_is_not_found(rosa: Client) -> None:
    assert rosa.get("/flags/staging/restore/9/").status_code == 404


def test_a_replaced_revision_says_by_which_and_when(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    change("client-ack", "off")
    page = text(rosa.get("/flags/staging/revisions/2/"))
    assert "Served from" in page
    assert "revision 3 replaced it" in page


# Known-good


def test_a_version_is_marked_known_good_once(rosa: Client) -> None:
    change("readiness-strategy", "immediate")
    for _ in range(2):
        assert rosa.post("/flags/staging/known-good/2/").status_code == 302
    good = reading.known_good("staging")
    assert good is not None
    assert (good.number, good.known_good_by) == (2, "Rosa")
    assert AuditRecord.objects.filter(action="flags.known_good").count() == 1


def test_a_version_that_never_was_cannot_be_marked(rosa: Client) -> None:
    assert rosa.post("/flags/staging/known-good/9/").status_code == 404


def test_acting_needs_the_csrf_token() -> None:
    strict = signed_in("responder", csrf=True)
    answer = strict.post(CHANGE, {"reason": WHY})
    assert answer.status_code == 403
    assert "Nothing was changed" in text(answer)


def test_an_environment_that_asks_no_reason_takes_none(rosa: Client) -> None:
    Environment.objects.filter(key="development").update(reason_required=False)
    address = "/flags/development/change/"
    sent = form_of(preview(rosa, address, readiness_strategy="immediate"))
    assert rosa.post(address, sent).status_code == 302
