"""What the command palette offers, to whom, and where it leads."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connections.gate.strategies import STRATEGIES
from probes.engine.outcome import FailureKind
from tests.support.history import failing, healthy
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


def groups(role: str, at: str = "/") -> dict[str, list[dict[str, Any]]]:
    answer = signed_in(role).get("/palette.json", {"at": at})
    assert answer.status_code == 200
    return {group["title"]: group["entries"] for group in answer.json()["groups"]}


def labels(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["label"] for entry in entries]


def test_before_anything_is_typed_it_offers_what_fails() -> None:
    failing(4, 30, timezone.now())
    targets = groups("viewer")["Targets"]
    assert [entry["label"] for entry in targets if entry["first"]] == ["Staging chat", "Orders feed"]
    assert [entry["note"] for entry in targets[:3]] == ["Down · staging", "Degraded · production", "Up · production"]


def test_a_responder_is_offered_to_undo_where_something_fails_and_every_address_answers() -> None:
    failing(2, 30, timezone.now())
    client = signed_in("responder")
    found = groups("responder")
    assert any(label.startswith("Undo revision") for label in labels(found["Here"]))
    for entries in found.values():
        for entry in entries:
            assert client.get(entry["href"]).status_code == 200, entry


def test_a_viewer_is_offered_nothing_that_acts() -> None:
    failing(2, 30, timezone.now())
    found = groups("viewer", "/targets/staging-chat/")
    acts = [entry["label"] for entries in found.values() for entry in entries if entry["label"].endswith("…")]
    assert acts == []
    assert not any(title.startswith("In ") for title in found)


def test_on_a_target_it_offers_its_ranges_and_what_can_be_done_about_it() -> None:
    failing(2, 30, timezone.now())
    here = labels(groups("responder", "/targets/staging-chat/residents/")["Here"])
    assert {"Race check…", "Pause…", "Last 24 h"} <= set(here)


def test_it_finds_the_runbook_of_every_failure_kind_and_strategy() -> None:
    found = {entry["label"]: entry["href"] for entry in groups("viewer")["Help"]}
    assert found["accept_race"] == "/docs/failures/#accept_race"
    assert {kind.value for kind in FailureKind} | set(STRATEGIES) <= found.keys()


def test_an_unknown_page_counts_as_none() -> None:
    healthy(1, 1, timezone.now())
    assert "Here" not in groups("viewer", "/targets/no-such/")


def test_its_queries_do_not_grow_with_targets(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    healthy(30, 1, timezone.now())
    client = signed_in("responder")
    with django_assert_max_num_queries(30):
        client.get("/palette.json")
