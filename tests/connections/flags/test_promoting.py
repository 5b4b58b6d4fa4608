"""Promotion from stage to stage: what it brings, what it leaves, and where it is refused."""

import pytest

from connections.flags import control, reading
from connections.flags.errors import FlagError, NothingToChange, StaleVersion, UnderLayer, UnknownFlag
from connections.models import AuditRecord, Version
from tests.connections.flags.conftest import Flags
from tests.connections.flags.test_layering import STEPS, STRATEGY, WHO, served


def test_a_promotion_brings_the_version_before_and_never_its_layers(staging: Flags) -> None:
    staging.change(readiness_strategy="ready_ack", client_ack="off")
    control.kill("staging", "client-ack", **WHO)
    preview = control.preview_promotion("production", ["client-ack"])
    assert [(one.flag, one.before, one.after) for one in preview.diffs] == [("client-ack", "on", "off")]
    version = control.promote("production", expected_version=1, flags=["client-ack"], **WHO)
    assert (version.kind, version.environment_id, version.number) == ("promotion", "production", 2)
    assert served("client-ack", "production") == "off"
    assert served(STRATEGY, "production") == "dependency_gate"
    record = AuditRecord.objects.get(action="flags.promotion")
    assert record.subject == "version 2: version 2 of staging"


def test_a_promotion_removes_nothing_and_brings_what_was_looked_at(staging: Flags) -> None:
    body = reading.flag_set("production").definitions["client-ack"]
    control.define("production", {"only-here": body}, expected_version=1, **WHO)
    staging.change(client_ack="off")
    staging.change(degraded_mode="off")
    control.promote("production", expected_version=2, source_version=2, **WHO)
    flags = reading.flag_set("production")
    assert "only-here" in flags.definitions
    assert (served("client-ack", "production"), served("degraded-mode", "production")) == ("off", "on")


def test_a_promotion_is_refused_where_it_cannot_be_meant(staging: Flags) -> None:
    with pytest.raises(FlagError, match="it comes first"):
        control.promote("development", expected_version=1, **WHO)
    with pytest.raises(UnknownFlag):
        control.promote("production", expected_version=1, flags=["nothing"], **WHO)
    with pytest.raises(NothingToChange):
        control.promote("production", expected_version=1, **WHO)
    staging.change(readiness_strategy="immediate")
    control.change("production", {"client-ack": "off"}, expected_version=1, **WHO)
    with pytest.raises(StaleVersion) as stale:
        control.promote("production", expected_version=1, **WHO)
    assert [one.flag for one in stale.value.theirs] == ["client-ack"]
    control.start_ramp("production", STRATEGY, "ready_ack", STEPS, **WHO)
    with pytest.raises(UnderLayer, match="Abort the ramp"):
        control.promote("production", expected_version=2, **WHO)
    assert Version.objects.filter(environment="production").count() == 2
