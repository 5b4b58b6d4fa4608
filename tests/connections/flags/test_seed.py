"""What the migrations seed is what the gate understands, and databases that were made earlier get there unharmed."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

import pytest
from django.apps import apps

from connections.flags import control
from connections.flags.reading import current_version, flag_set, known_good
from connections.flags.versions import definition_hash, set_hash
from connections.gate.strategies import STRATEGIES, build
from connections.models import AuditRecord, Definition, Revision, Version, VersionChange

ENVIRONMENTS = ("development", "staging", "production")
Test = TypeVar("Test", bound=Callable[..., None])
MIGRATION = import_module("connections.migrations.0004_all_strategies")
THREE = MIGRATION.THREE


@pytest.mark.django_db
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_gate_takes_the_seeded_parameters_of_each_strategy_without_complaint(name: str, environment: str) -> None:
    """And they are the strategy's own defaults: what people see is what they would get anyway."""
    seeded = flag_set(environment).definitions["readiness-parameters"]["variants"]["default"]
    assert set(seeded) == set(STRATEGIES)
    assert build(name, seeded, environment) == build(name, {}, environment)


@pytest.mark.django_db
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_strategy_of_the_gate_can_be_served_and_no_other(environment: str) -> None:
    assert set(flag_set(environment).definitions["readiness-strategy"]["variants"]) == set(STRATEGIES)


@pytest.mark.django_db
def test_a_new_database_starts_with_version_1_known_good() -> None:
    for environment in ENVIRONMENTS:
        version = current_version(environment)
        assert (version.number, version.known_good_by, flag_set(environment).revision) == (1, "readywire", 1)


def from_the_old_state(test: Test) -> Test:
    """On a database that was made when there were three strategies."""
    marked: Test = pytest.mark.django_db(pytest.mark.usefixtures("old_database")(test))
    return marked


@pytest.fixture
def old_database(db: None) -> None:
    """The state that older databases are in: three strategies, before the migration that adds the rest."""
    for version in Version.objects.all():
        definitions = flag_set(version.environment_id).definitions
        for key, variants in THREE.items():
            definitions[key] = {**definitions[key], "variants": variants}
            define(version, key, definitions[key])
        Version.objects.filter(pk=version.pk).update(set_hash=set_hash(definitions))


def upgrade() -> None:
    """What migration 0004 does to the rows; the tables have not changed in a way that it would notice."""
    MIGRATION.grow(apps, None)


def define(version: Version, key: str, body: dict[str, Any]) -> None:
    definition, _ = Definition.objects.get_or_create(hash=definition_hash(body), defaults={"body": body})
    VersionChange.objects.filter(version=version, flag_key=key).update(definition=definition)


def change(environment: str, edit: Callable[[dict[str, Any]], dict[str, Any]], key: str) -> None:
    body = edit(flag_set(environment).definitions[key])
    version = current_version(environment).number
    control.define(environment, {key: body}, author="Rosa", reason="a change of ours", expected_version=version)


@from_the_old_state
def test_an_environment_still_at_the_seed_gets_a_new_version_with_all_nine() -> None:
    before = {key: flag_set(key) for key in ENVIRONMENTS}
    upgrade()
    for environment in ENVIRONMENTS:
        now, then = flag_set(environment), before[environment]
        assert (now.version, now.revision) == (2, 2)
        assert set(now.definitions["readiness-strategy"]["variants"]) == set(STRATEGIES)
        parameters = now.definitions["readiness-parameters"]["variants"]["default"]
        assert build("progressive_delay", parameters) == build("progressive_delay", {}, environment)
        for key, body in now.definitions.items():
            assert {**body, "variants": 0} == {**then.definitions[key], "variants": 0}
        good = known_good(environment)
        assert good is not None
        assert good.number == 2
        assert current_version(environment).set_hash == now.set_hash
        assert flag_set(environment, 1).definitions == then.definitions


@from_the_old_state
def test_what_people_serve_goes_on_being_served() -> None:
    for environment in ("staging", "production"):
        values = {"readiness-strategy": "immediate", "client-ack": "off"}
        control.change(environment, values, author="Rosa", reason="a change of ours", expected_version=1)
    upgrade()
    now = flag_set("staging")
    assert now.definitions["readiness-strategy"]["defaultVariant"] == "immediate"
    assert now.definitions["client-ack"]["defaultVariant"] == "off"
    assert set(now.definitions["readiness-strategy"]["variants"]) == set(STRATEGIES)
    assert (now.version, current_version("staging").known_good_at) == (4, None)
    revision = Revision.objects.get(environment_id="staging", number=3)
    assert (revision.summary, revision.author, revision.version.number) == ([], "readywire", 4)
    audit = AuditRecord.objects.filter(environment_id="staging").latest("pk")
    assert audit.actor == "readywire"
    assert audit.before is not None
    assert audit.before["flags"]["readiness-strategy"] == {"variants": THREE["readiness-strategy"]}


@from_the_old_state
def test_an_emergency_rollback_afterwards_restores_what_was_known_good_and_takes_no_strategy_away() -> None:
    values = {"readiness-strategy": "immediate", "client-ack": "off"}
    control.change("staging", values, author="Rosa", reason="a change of ours", expected_version=1)
    control.define("staging", {"degraded-mode": None}, author="Rosa", reason="a change of ours", expected_version=2)
    upgrade()
    assert "degraded-mode" not in flag_set("staging").definitions
    good = known_good("staging")
    assert good is not None
    assert (good.number, good.reason) == (4, "Version 1 with all nine strategies, known-good as it was.")
    control.run_plan("staging", "emergency", author="Rosa", reason="chat answers vanish")
    restored, seeded = flag_set("staging").definitions, flag_set("production").definitions
    assert restored == seeded


@from_the_old_state
def test_targeting_stays() -> None:
    ramp = {"fractional": [["immediate", 50], ["dependency_gate", 50]]}
    change("staging", lambda body: {**body, "targeting": ramp}, "readiness-strategy")
    upgrade()
    assert flag_set("staging").definitions["readiness-strategy"]["targeting"] == ramp


@from_the_old_state
def test_a_flag_whose_variants_people_changed_is_left_alone() -> None:
    ours = {"default": {"fixed_delay": {"milliseconds": 7}}}
    change("staging", lambda body: {**body, "variants": ours}, "readiness-parameters")
    upgrade()
    definitions = flag_set("staging").definitions
    assert definitions["readiness-parameters"]["variants"] == ours
    assert set(definitions["readiness-strategy"]["variants"]) == set(STRATEGIES)


@from_the_old_state
def test_an_environment_without_those_flags_is_left_alone() -> None:
    values = dict.fromkeys(("readiness-strategy", "readiness-parameters"))
    control.define("staging", values, author="Rosa", reason="a change of ours", expected_version=1)
    upgrade()
    assert (flag_set("staging").version, flag_set("production").version) == (2, 2)


@from_the_old_state
def test_the_next_change_goes_on_from_there() -> None:
    upgrade()
    control.change(
        "staging", {"readiness-strategy": "ready_ack"}, author="Rosa", reason="a try of ours", expected_version=2
    )
    assert flag_set("staging").definitions["readiness-strategy"]["defaultVariant"] == "ready_ack"
