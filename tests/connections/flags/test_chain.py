"""The hash chain: what is written fits, and whatever is changed behind the product's back is named."""

import json
import threading
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db import connections as database_connections
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from connections.flags import chain, control
from connections.flags.verifying import verify
from connections.flags.versions import canonical_json
from connections.models import AuditHead, AuditRecord, Environment, Overlay, Revision, Version
from tests.connections.flags.conftest import Flags


def sql(statement: str, *values: str | int) -> None:
    """What somebody does who writes to the database directly."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def broken() -> list[str]:
    return [str(fault) for fault in verify().faults]


@pytest.fixture
def used(staging: Flags) -> Flags:
    """Five changes, one of them back, and a mark."""
    staging.change(readiness_strategy="immediate")
    staging.change(client_ack="off")
    control.run_plan("staging", "phase-1", author="mara", reason="chat answers vanish")
    control.revert("staging", 2, author="mara", reason="that was not it", expected_version=4)
    control.mark_known_good("staging", 5, author="mara")
    return staging


def test_what_the_product_writes_is_unbroken(used: Flags) -> None:
    checked = verify()
    assert checked.faults == ()
    assert (checked.audit_rows, checked.other_rows) == (5, 2 * (5 + 1 + 1))
    newest = AuditRecord.objects.get(number=5)
    assert checked.head == f"5:{newest.hash}"


def test_a_fresh_installation_is_unbroken(db: None) -> None:
    assert verify().faults == ()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "somebody else"),
        ("reason", "no reason"),
        ("subject", "x"),
        ("at", "2026-01-01 00:00:00"),
        ("hash", "0"),
    ],
)
def test_a_changed_audit_row_is_named(used: Flags, column: str, value: str) -> None:
    sql(f"UPDATE connections_auditrecord SET {column} = %s WHERE number = 3", value)  # noqa: S608 - a name from above
    assert len(broken()) == 1
    assert broken()[0].startswith("audit row 3 (flags.plan by ")


def test_a_changed_before_or_after_is_named(used: Flags) -> None:
    record = AuditRecord.objects.get(number=2)
    AuditRecord.objects.filter(pk=record.pk).update(before={**(record.before or {}), "version": 9})
    assert broken()[0].startswith("audit row 2 (flags.change by alice, ")


def test_a_row_whose_hash_was_recomputed_breaks_the_next_one(used: Flags) -> None:
    AuditRecord.objects.filter(number=2).update(actor="eve")
    row = AuditRecord.objects.filter(number=2).values(*chain.AUDIT).get()
    before = AuditRecord.objects.get(number=1).hash
    AuditRecord.objects.filter(number=2).update(hash=chain.link(before, row))
    assert broken()[0].startswith("audit row 3 ")


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_deleted_audit_row_is_named(used: Flags, number: int) -> None:
    sql("DELETE FROM connections_auditrecord WHERE number = %s", number)
    assert broken()[0].startswith(f"audit row {number}: it is missing")


def test_two_rows_that_changed_places_are_named(used: Flags) -> None:
    sql("UPDATE connections_auditrecord SET number = 99 WHERE number = 2")
    sql("UPDATE connections_auditrecord SET number = 2 WHERE number = 3")
    sql("UPDATE connections_auditrecord SET number = 3 WHERE number = 99")
    assert broken()[0].startswith("audit row 2 ")


def test_a_row_that_was_slipped_in_is_named(used: Flags) -> None:
    last = AuditRecord.objects.get(number=5)
    AuditRecord.objects.bulk_create([AuditRecord(number=6, hash=last.hash, actor="eve", action="flags.change")])
    assert broken() == ["audit row 6: it is not the row that was written last"]
    AuditRecord.objects.filter(number=6).update(number=None)
    assert "it was not written by this product" in broken()[0]


def test_a_forged_chain_is_told_by_a_hash_that_was_noted(used: Flags) -> None:
    control.change("staging", {"client-ack": "off"}, author="eve", reason="x y z", expected_version=5)
    noted = verify().head
    sql("UPDATE connections_auditrecord SET reason = '', number = NULL WHERE number >= 6")
    kept = AuditRecord.objects.get(number=5)
    AuditHead.objects.update(number=5, hash=kept.hash)
    chain.seal(apps)
    assert verify().faults == ()
    assert [str(fault) for fault in verify(noted).faults] == ["audit row 6: its hash is not the one that was noted"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE connections_version SET reason = 'x' WHERE number = 3", "version 3 of staging"),
        ("UPDATE connections_version SET set_hash = 'x' WHERE number = 3", "version 3 of staging"),
        ("UPDATE connections_revision SET layers = '[1]' WHERE number = 4", "revision 4 of staging"),
        ("UPDATE connections_revision SET hash = 'x' WHERE number = 4", "revision 4 of staging"),
        ("DELETE FROM connections_revision WHERE number = 2", "revision 2 of staging"),
        ("DELETE FROM connections_revision WHERE number = 5", "environment staging"),
        ("UPDATE connections_environment SET revision = 3 WHERE key = 'staging'", "environment staging"),
    ],
)
def test_a_changed_or_deleted_version_or_revision_is_named(used: Flags, statement: str, named: str) -> None:
    sql(statement)
    assert broken()[0].startswith(f"{named}: ")


def test_a_kill_that_was_lifted_or_laid_behind_the_products_back_is_named(used: Flags) -> None:
    named = ["environment staging: what lies over its flags is not what its newest revision says"]
    control.kill("staging", "client-ack", author="mara", reason="it does harm")
    assert broken() == []
    Overlay.objects.update(ended_at=timezone.now())
    assert broken() == named
    Overlay.objects.update(ended_at=None, variant="off")
    assert broken() == named
    Overlay.objects.update(variant="on")
    assert broken() == []


def test_a_definition_that_was_changed_or_taken_away_is_named(used: Flags) -> None:
    change = Version.objects.get(environment="staging", number=2).changes.get()
    assert change.definition is not None
    body = change.definition.body
    type(change.definition).objects.filter(pk=change.definition_id).update(body={**body, "defaultVariant": "x"})
    assert broken() == ["version 2 of staging: the definition of readiness-strategy is not what was written"]
    type(change.definition).objects.filter(pk=change.definition_id).update(body=body)
    change.delete()
    assert broken() == ["version 2 of staging: its flags are not the ones that were written"]


def test_a_known_good_mark_that_nobody_made_is_named(used: Flags) -> None:
    version = Version.objects.get(environment="staging", number=3)
    marked = Version.objects.get(environment="staging", number=5)
    Version.objects.filter(pk=version.pk).update(known_good_at=marked.known_good_at, known_good_by="alice")
    Version.objects.filter(pk=marked.pk).update(known_good_at=None)
    assert broken() == ["version 3 of staging: alice did not mark it known-good"]
    Version.objects.filter(environment="staging").update(known_good_at=None)
    assert broken() == ["environment staging: its known-good mark is gone"]


def test_numbers_that_a_database_writes_otherwise_are_unbroken(used: Flags) -> None:
    values = {"a": 1e16, "b": -0.0, "c": 1e23, "d": 1e-7, "e": 1.0, "f": 10**30, "g": 5e-324}
    body = {"state": "ENABLED", "variants": {"on": values}, "defaultVariant": "on"}
    control.define("staging", {"figures": body}, author="alice", reason="what numbers do", expected_version=5)
    AuditRecord.objects.create(actor="alice", action="x", before=values, after={"é\u2028": ["\t", None, True]})
    assert broken() == []


def test_rows_cannot_be_saved_again(used: Flags) -> None:
    for row in (AuditRecord.objects.all()[0], Revision.objects.all()[0], Version.objects.all()[0]):
        with pytest.raises(TypeError, match="rows are never changed"):
            row.save()


def test_a_change_that_fails_leaves_no_gap(used: Flags) -> None:
    with transaction.atomic():
        AuditRecord.objects.create(actor="mara", action="x")
        transaction.set_rollback(True)
    AuditRecord.objects.create(actor="mara", action="y", before={1: (2, 3)}, after={"10": 1, "9": 2})
    assert AuditRecord.objects.get(action="y").number == 6
    assert broken() == []


def test_rows_from_before_the_chain_are_sealed(used: Flags) -> None:
    """What migration 0006 does to a database that is in use."""
    unlinked = [AuditRecord.objects.get(number=1).hash, Version.objects.get(environment="staging", number=4).hash]
    AuditRecord.objects.update(number=None, hash="")
    Version.objects.update(hash="")
    Revision.objects.update(hash="")
    AuditHead.objects.all().delete()
    import_module("connections.migrations.0006_audit_chain").seal(apps, None)
    assert broken() == []
    sealed = [AuditRecord.objects.get(number=1).hash, Version.objects.get(environment="staging", number=4).hash]
    assert sealed == unlinked
    used.change(client_ack="off")
    assert broken() == []


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_make_one_chain() -> None:
    def write(number: int) -> None:
        try:
            for _ in range(3):
                AuditRecord.objects.create(actor=f"p{number}", action="x", environment_id="staging")
                control.mark_known_good("staging", 1, author=f"p{number}")
        finally:
            database_connections.close_all()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Environment.objects.count() == 3
    numbers = list(AuditRecord.objects.order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, 121))
    assert broken() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
@settings(deadline=None)
def test_canonical_json_is_the_same_again(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e16, "10000000000000000"), (-0.0, "0.0"), (1e23, "1" + "0" * 23), (1.0, "1.0"), (1e-7, "1e-07")],
)
def test_canonical_json_says_numbers_as_postgresql_gives_them_back(value: float, text: str) -> None:
    assert canonical_json([value]) == f"[{text}]"
