"""The audit page: who changed what, when, why, before and after."""

import pytest
from django.core.management import call_command
from django.test import Client

from connections.flags import control
from connections.models import AuditRecord
from dashboard.accounts import create_token
from dashboard.queries.trail import forget
from tests.dashboard.test_flags_page import change
from tests.support.pages import text
from tests.support.people import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def checked_anew() -> None:
    forget()


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
    assert "Nothing has been changed yet." in text(vera.get("/audit/"))


def main_of(page: bytes) -> str:
    """The page without what every page has."""
    return page.decode().split("<main")[1].split("</main>")[0]


def test_the_trail_is_paged_and_keeps_the_filters(vera: Client) -> None:
    for number in range(60):
        AuditRecord.objects.create(actor="Ada", action="token.created", subject=f"t{number}")
    page = main_of(vera.get("/audit/?who=Ada").content)
    assert page.count("<tr>") == 51
    before = AuditRecord.objects.order_by("-pk")[49].pk
    assert f"?who=Ada&amp;environment=&amp;act=&amp;before={before}" in page
    assert main_of(vera.get(f"/audit/?who=Ada&before={before}").content).count("<tr>") == 11


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


def test_an_unbroken_trail_says_how_many_rows_were_checked(vera: Client) -> None:
    change("readiness-strategy", "immediate")
    assert "9 rows unbroken." in text(vera.get("/audit/"))


def test_a_broken_trail_is_told_on_top(vera: Client) -> None:
    change("readiness-strategy", "immediate")
    AuditRecord.objects.update(actor="Eve")
    page = text(vera.get("/audit/"))
    assert "The record does not fit together" in page
    assert "audit row 1 (flags.change by Eve, " in page
    assert "rows unbroken" not in page


def test_the_command_says_what_is_unbroken_and_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    change("readiness-strategy", "immediate")
    call_command("verify_audit")
    printed = capsys.readouterr().out
    assert "Checked, 9 rows unbroken: 1 of the audit trail, 8 versions and revisions." in printed
    noted = printed.split("Newest audit row: ")[1].strip()
    call_command("verify_audit", "--anchor", noted)
    AuditRecord.objects.update(reason="nobody asked")
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit", "--anchor", noted)
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("BROKEN at audit row 1 (flags.change by Mara, ")
