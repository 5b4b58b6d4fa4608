"""Versions read from the rows of what each changed, and what a change of a large set costs."""

import random
from typing import Any

import pytest
from django.apps import apps
from django.db import transaction

from connections.flags import control, reading, stored
from connections.flags.definitions import MAX_BYTES
from connections.flags.errors import BadDefinition, NothingToChange
from connections.flags.versions import diff, set_hash
from tests.connections.flags.conftest import Flags

WHO: dict[str, Any] = {"author": "alice", "reason": "chat answers vanish"}


def flag(default: str = "off", **more: Any) -> dict[str, Any]:
    return {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": default, **more}


def test_what_is_read_by_its_changes_is_what_is_read_whole(staging: Flags) -> None:
    """A walk of 40 changes, removals and reverts; then every version, in any order, with and without what is kept."""
    chance = random.Random(5)
    keys = [f"f{number}" for number in range(6)]
    for _ in range(40):
        newest = staging.version
        with pytest.MonkeyPatch.context() as patch:
            if chance.random() < 0.3:
                patch.setattr(stored, "_kept", stored._Kept())
            try:
                if chance.random() < 0.2:
                    control.revert("staging", chance.randint(1, newest), expected_version=None, **WHO)
                else:
                    body = chance.choice([None, flag("on"), flag("off", tags=["chat"])])
                    control.define("staging", {chance.choice(keys): body}, expected_version=newest, **WHO)
            except NothingToChange:
                continue
    for number in chance.sample(range(1, staging.version + 1), staging.version):
        whole = stored._whole("staging", number)
        found = stored.load("staging", number)
        assert (found.definitions, found.hashes) == (whole.definitions, whole.hashes)
        assert found.set_hash == set_hash(found.definitions)


def test_a_version_that_was_rolled_back_is_not_mistaken_for_the_one_that_came(staging: Flags) -> None:
    with transaction.atomic():
        control.define("staging", {"a": flag("on")}, expected_version=1, **WHO)
        assert reading.flag_set("staging").definitions["a"]["defaultVariant"] == "on"
        transaction.set_rollback(True)
    control.define("staging", {"a": flag("off")}, expected_version=1, **WHO)
    assert reading.flag_set("staging").definitions["a"]["defaultVariant"] == "off"


def test_what_a_reader_does_to_its_set_is_nobody_elses(staging: Flags) -> None:
    seen = reading.flag_set("staging")
    seen.definitions["client-ack"] = flag()
    del seen.definitions["degraded-mode"]
    assert seen.set_hash == set_hash(seen.definitions)
    assert set(reading.flag_set("staging").definitions) >= {"client-ack", "degraded-mode"}
    assert reading.flag_set("staging").definitions["client-ack"] != flag()


def test_true_and_one_are_a_difference() -> None:
    assert [one.flag for one in diff({"a": {"metadata": {"n": True}}}, {"a": {"metadata": {"n": 1}}})] == ["a"]


def _rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in apps.get_app_config("connections").get_models()}


def test_a_change_of_one_of_many_flags_costs_one_row_of_each_kind(
    staging: Flags, monkeypatch: pytest.MonkeyPatch
) -> None:
    many: dict[str, Any] = {f"f{number}": flag(tags=[f"t{number % 5}"]) for number in range(1_500)}
    control.define("staging", many, expected_version=1, **WHO)
    before = _rows()
    monkeypatch.setattr(stored, "_whole", None)  # nothing is read anew
    control.change("staging", {"f7": "on"}, expected_version=2, **WHO)
    flags = reading.flag_set("staging")
    grown = {name: count - before[name] for name, count in _rows().items() if count != before[name]}
    assert grown == {"Definition": 1, "Version": 1, "VersionChange": 1, "Revision": 1, "AuditRecord": 1}
    assert flags.definitions["f7"]["defaultVariant"] == "on"
    assert flags.set_hash == set_hash(flags.definitions)
    assert all(flags.served[key] is reading.flag_set("staging").served[key] for key in ("f1", "client-ack"))


def test_a_set_of_a_megabyte_is_stored_and_one_flag_of_a_megabyte_is_not(staging: Flags) -> None:
    text = "é" * 15_000
    large: dict[str, Any] = {
        f"large-{number}": {"state": "ENABLED", "variants": {"a": text, "b": f"{number}"}, "defaultVariant": "a"}
        for number in range(40)
    }
    control.define("staging", large, expected_version=1, **WHO)
    assert reading.flag_set("staging").definitions["large-39"]["variants"]["a"] == text
    with pytest.raises(BadDefinition, match=f"at most {MAX_BYTES} bytes"):
        control.define(
            "staging", {"huge": flag(metadata={"text": "a" * 1_000_000}), "a": flag()}, expected_version=2, **WHO
        )
    assert (staging.version, "a" in reading.flag_set("staging").definitions) == (2, False)
