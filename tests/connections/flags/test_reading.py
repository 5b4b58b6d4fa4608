"""Flag sets of any version, and who holds which revision."""

from datetime import timedelta

import pytest
from django.utils import timezone

from connections.flags import reading
from connections.flags.errors import UnknownEnvironment, UnknownVersion
from connections.models import Definition, Environment, Revision, Version, VersionChange, WatchedServer
from tests.connections.flags.conftest import Flags


def test_every_version_can_still_be_read(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    staging.change(readiness_strategy="fixed_delay", client_ack="off")
    served = [
        (
            reading.flag_set("staging", number).definitions["readiness-strategy"]["defaultVariant"],
            reading.flag_set("staging", number).definitions["client-ack"]["defaultVariant"],
        )
        for number in (1, 2, 3)
    ]
    assert served == [("dependency_gate", "on"), ("immediate", "on"), ("fixed_delay", "off")]


def test_unknown_environments_and_versions_are_named(db: None) -> None:
    with pytest.raises(UnknownEnvironment, match="development, staging, production"):
        reading.flag_set("nowhere")
    with pytest.raises(UnknownVersion, match="from 1 to 1"):
        reading.flag_set("staging", 2)
    with pytest.raises(UnknownVersion):
        reading.flag_set("staging", 0)


def test_a_removed_flag_is_gone_from_later_versions_and_kept_in_earlier_ones(staging: Flags) -> None:
    """Written by hand: this build has no verb that removes a flag, but versions can say it."""
    version = Version.objects.create(
        environment_id="staging", number=2, kind="change", set_hash="", author="alice", reason="no longer used"
    )
    VersionChange.objects.create(version=version, flag_key="client-ack", definition=None)
    Revision.objects.create(environment_id="staging", number=2, version=version, author="alice", cause="change")
    Environment.objects.filter(key="staging").update(revision=2)
    assert "client-ack" not in reading.flag_set("staging").definitions
    assert "client-ack" in reading.flag_set("staging", 1).definitions


def test_a_change_stores_only_what_it_changed(staging: Flags) -> None:
    version = staging.change(client_ack="off")
    assert list(version.changes.values_list("flag_key", flat=True)) == ["client-ack"]
    before = Definition.objects.count()
    staging.change(client_ack="on")
    staging.change(client_ack="off")
    assert Definition.objects.count() == before


def test_reading_a_flag_set_costs_the_same_after_many_changes(
    staging: Flags, django_assert_num_queries: "pytest.FixtureRequest"
) -> None:
    for strategy in ["immediate", "fixed_delay"] * 5:
        staging.change(readiness_strategy=strategy)
    with django_assert_num_queries(3):  # type: ignore[operator]  # pytest-django's fixture is a callable
        reading.flag_set("staging")


def test_holders_tell_who_confirmed_who_is_behind_and_who_is_silent(staging: Flags) -> None:
    staging.change(client_ack="off")
    now = timezone.now()
    committed = Revision.objects.get(environment="staging", number=2).at
    for instance, held, since, reported in [
        ("quick", 2, committed + timedelta(milliseconds=180), now),
        ("slow", 2, committed + timedelta(milliseconds=900), now),
        ("late", 1, committed - timedelta(hours=1), now),
        ("quiet", 2, committed + timedelta(milliseconds=50), now - timedelta(minutes=5)),
        ("from another database", 9, now, now),
        ("begun later", 2, committed + timedelta(minutes=3), now),
    ]:
        began = committed + timedelta(minutes=3) if instance == "begun later" else committed - timedelta(days=1)
        WatchedServer.objects.create(
            environment_id="staging",
            instance=instance,
            key_name="key",
            library_version="0.1.0",
            held_revision=held,
            held_since=since,
            reported_at=reported,
            counting_since=began,
        )
    found = {holder.instance: holder for holder in reading.holders("staging", now=now)}
    assert list(found)[:2] == ["from another database", "late"]
    assert [name for name, holder in found.items() if holder.behind] == ["from another database", "late"]
    assert [name for name, holder in found.items() if holder.silent] == ["quiet"]
    assert found["quick"].took == timedelta(milliseconds=180)
    assert found["late"].took is not None
    assert found["from another database"].took is None
    assert found["begun later"].took is None
    assert reading.slowest(list(found.values())) == timedelta(milliseconds=900)
    assert reading.slowest([]) is None
