"""What the first start makes, and what later starts leave alone."""

from pathlib import Path

import pytest

from connections.reference.faults import FAULTS
from dashboard import env, reference_setup
from probes import targets
from probes.engine.script import Script
from probes.models import Target

PORTS = (8101, 8102)


@pytest.mark.django_db
def test_a_late_event_of_a_reference_target_is_late_before_its_deadline() -> None:
    """Else the fault "events late" would show nothing, or an event that never came."""
    reference_setup.prepare(PORTS)
    waits = next(each.default for each in FAULTS["events_late"].parameters if each.name == "seconds")
    for target in Target.objects.filter(is_reference=True):
        within = Script.from_json(target.script).events_within_s
        assert 0 < within < float(waits) < target.deadline_ms / 1000


@pytest.mark.django_db
def test_a_start_brings_an_untouched_script_up_to_date_and_leaves_a_changed_one_alone() -> None:
    reference_setup.prepare(PORTS)
    staging, production = Target.objects.filter(is_reference=True).order_by("-slug")
    own = Script(events_within_s=0.25).to_json()
    targets.update_target(staging, by="ada", script=own)
    targets.update_target(production, by="ada", script=Script().to_json())
    reference_setup.prepare(PORTS)
    scripts = dict(Target.objects.values_list("slug", "script"))
    assert scripts[staging.slug] == own
    assert scripts[production.slug] == Script(events_within_s=reference_setup.EVENTS_WITHIN_S).to_json()


def test_the_control_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    assert env.kept_control_token(tmp_path) == ""
    token = env.made_control_token(tmp_path)
    assert len(token) > 40
    assert env.made_control_token(tmp_path) == env.kept_control_token(tmp_path) == token
    assert (tmp_path / "control_token").stat().st_mode & 0o777 == 0o600


def test_a_control_token_of_the_environment_wins_over_the_kept_one(tmp_path: Path) -> None:
    kept = env.made_control_token(tmp_path)
    given = {"DATA_DIR": str(tmp_path), "SECRET_KEY": "x"}
    assert env.read(given)["READYWIRE_CONTROL_TOKEN"] == kept
    assert env.read({**given, "READYWIRE_CONTROL_TOKEN": "own"})["READYWIRE_CONTROL_TOKEN"] == "own"
