"""The audit page: who changed what, when, why, before and after."""

import pytest
from django.test import Client

from connections.flags import control
from connections.models import AuditRecord
from dashboard.accounts import create_token
from tests.dashboard.test_flags_page import change
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def vera() -> Client:
    return signed_in("viewer")


def test_a_change_reads_as_before_and_after(vera: Client) -> None:
    change("readiness-strategy", "immediate")
    page = text(vera.get("/audit/"))
    assert "Mara" in page
    assert "Changed flags" in page
    assert "faster first token" in page
    assert "readiness-strategy: dependency_gate → immediate" in page
    assert "revision: 1 → 2" in page


def test_filters_narrow_and_stand_in_the_address(vera: Client) -> None:
    change("readiness-strategy", "immediate")
    change("client-ack", "off", "production")
    create_token("ci", "read", actor="Ada")
    assert "client-ack" not in text(vera.get("/audit/?environment=staging")).partition("Records")[2]
    assert "readiness-strategy" not in text(vera.get("/audit/?who=Ada"))
    only = text(vera.get("/audit/?act=token.created"))
    assert "scope: read" in only
    assert "readiness-strategy" not in only


def test_a_filter_that_matches_nothing_says_so(vera: Client) -> None:
    assert "No record matches." in text(vera.get("/audit/?who=Nobody"))


def test_an_empty_trail_says_so(vera: Client) -> None:
    AuditRecord.objects.all().delete()
    assert "Nothing has been changed yet." in text(vera.get("/audit/"))


def test_the_trail_is_paged_and_keeps_the_filters(vera: Client) -> None:
    for number in range(60):
        AuditRecord.objects.create(actor="Ada", action="token.created", subject=f"t{number}")
    page = vera.get("/audit/?who=Ada").content.decode()
    assert page.count("<tr>") == 51
    before = AuditRecord.objects.order_by("-pk")[49].pk
    assert f"?who=Ada&amp;environment=&amp;act=&amp;before={before}" in page
    assert vera.get(f"/audit/?who=Ada&before={before}").content.decode().count("<tr>") == 11


def test_what_people_typed_stays_text(vera: Client) -> None:
    control.change(
        "staging",
        {"client-ack": "off"},
        author="Mara",
        reason="<script>alert(1)</script> was my reason",
        expected_version=1,
    )
    page = vera.get("/audit/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
