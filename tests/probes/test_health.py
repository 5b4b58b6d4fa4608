"""The rule of health: which recent slots make a target up, degraded, down, stale, paused or unknown."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.health import CLEAN_AFTER_RELAPSE, CLEAN_TO_RECOVER, STALE_AFTER, Verdict, judge

OBJECTIVE_US = 1_000_000
STATES = ["unknown", "up", "degraded", "down", "stale"]


def rows(letters: str, location: str = "local", race_us: int = 40_000) -> list[dict[str, Any]]:
    """u: a success; d: a failure; g: a slow success; m: no outcome because of us."""
    return [
        {
            "slot": f"{n:05}",
            "loc": location,
            "ok": letter in "ug",
            "kind": {"d": "not_ready", "m": "missed"}.get(letter, ""),
            "race_us": {"u": race_us, "g": 3_000_000}.get(letter),
            "letter": letter,
        }
        for n, letter in enumerate(letters)
    ]


def verdict(letters: str, before: str = "up") -> Verdict:
    return judge(rows(letters), before=before, objective_us=OBJECTIVE_US)


@pytest.mark.parametrize(
    ("letters", "before", "state", "why"),
    [
        ("", "unknown", "unknown", "Not probed yet."),
        ("d", "unknown", "unknown", "1 of the first 1 probes failed: too few to judge."),
        ("u", "unknown", "up", "1 of the last 1 probes succeeded."),
        ("uuuud", "up", "up", "4 of the last 5 probes succeeded."),
        ("uuudd", "up", "degraded", "2 of the last 5 probes failed, mostly not_ready."),
        ("uuddd", "up", "down", "3 of the last 5 probes failed, mostly not_ready."),
        ("ududd", "up", "down", "3 of the last 5 probes failed, mostly not_ready."),
        ("ddd", "unknown", "down", "3 of the last 3 probes failed, mostly not_ready."),
        ("uudddmmm", "down", "stale", "The last 3 slots have no outcome, because of us: the target was not measured."),
        ("uuuummd", "up", "up", "4 of the last 5 probes succeeded."),
        ("uudmmdmd", "up", "down", "3 of the last 5 probes failed, mostly not_ready."),
        ("ggggg", "up", "degraded", "Ready p95 is 3000 ms; the objective is 1000 ms."),
        ("gggg", "up", "up", "4 of the last 4 probes succeeded."),
        ("u" * 18 + "dd", "up", "degraded", "2 of the last 20 probes failed, mostly not_ready."),
        ("ddd" + "uu", "down", "down", "3 of the last 5 probes failed, mostly not_ready."),
        ("ddd" + "uuu", "down", "up", "3 of the last 3 probes succeeded."),
        ("ddd" + "uumu", "down", "up", "3 of the last 3 probes succeeded."),
        ("ddd" + "uuduu", "down", "down", "1 of the last 5 probes failed, mostly not_ready."),
        ("ddd" + "mmm" + "uuu", "stale", "up", "3 of the last 3 probes succeeded."),
    ],
)
def test_each_state_has_its_rule_and_a_sentence(letters: str, before: str, state: str, why: str) -> None:
    assert verdict(letters, before) == Verdict(state, why)


def test_a_paused_target_is_paused_whatever_it_did() -> None:
    assert judge(rows("ddddd"), before="down", objective_us=1, paused_by="Alice") == Verdict(
        "paused", "Paused by Alice."
    )


def test_down_at_one_of_two_locations_is_degraded_and_names_it() -> None:
    both = rows("uuuuu", "local") + rows("ddddd", "frankfurt")
    found = judge(both, before="up", objective_us=OBJECTIVE_US)
    assert found.state == "degraded"
    assert found.why.startswith("Down at frankfurt only. 5 of the last 5 probes failed")


def test_down_everywhere_is_down() -> None:
    both = rows("uuddd", "local") + rows("ddddd", "frankfurt")
    assert judge(both, before="up", objective_us=OBJECTIVE_US).state == "down"


def test_a_location_without_outcomes_neither_hides_nor_makes_an_outage() -> None:
    """One worker is dead: the other location alone decides."""
    dead = rows("mmmmm", "frankfurt")
    assert judge(rows("ddddd") + dead, before="up", objective_us=OBJECTIVE_US).state == "down"
    assert judge(rows("uuuuu") + dead, before="up", objective_us=OBJECTIVE_US).state == "up"


def test_slow_ends_only_well_below_the_objective() -> None:
    """At 95 % of the objective an up target stays up, and a degraded one stays degraded."""
    near = rows("uuuuuuuu", race_us=950_000)
    assert judge(near, before="up", objective_us=OBJECTIVE_US).state == "up"
    assert judge(near, before="degraded", objective_us=OBJECTIVE_US).state == "degraded"
    assert judge(rows("uuuuuuuu", race_us=890_000), before="degraded", objective_us=OBJECTIVE_US).state == "up"


letters = st.text("uuuudgm", max_size=60)


@given(letters, st.sampled_from(STATES))
def test_every_verdict_has_a_state_and_a_sentence_that_fits_its_column(found: str, before: str) -> None:
    result = verdict(found, before)
    assert result.state in STATES
    assert result.why.endswith(".")
    assert len(result.why) <= 300


@given(letters, st.sampled_from(["unknown", "up", "degraded", "stale"]))
def test_nothing_is_down_without_three_failures(found: str, before: str) -> None:
    if found.count("d") < 3:
        assert verdict(found, before).state != "down"


@given(letters.filter(lambda text: "d" not in text), st.sampled_from(["unknown", "up", "stale"]))
def test_what_is_ours_is_never_charged(found: str, before: str) -> None:
    """However many slots have no outcome because of us, a target that never failed is not down."""
    assert verdict(found, before).state in ("up", "degraded", "stale", "unknown")
    assert "failed" not in verdict(found, before).why


@given(letters, st.sampled_from(STATES))
def test_slots_of_ours_change_no_judgement_until_they_are_the_newest(found: str, before: str) -> None:
    """Two missed slots anywhere before an outcome leave the verdict as it was."""
    measured = found.replace("m", "")
    if measured:
        spread = "".join("mm" + letter for letter in measured)
        assert verdict(spread, before) == verdict(measured, before)


@given(letters, st.sampled_from(STATES))
def test_nine_successes_in_a_row_end_any_outage(found: str, before: str) -> None:
    assert verdict(found + "u" * CLEAN_AFTER_RELAPSE, before).state != "down"


@given(letters, st.sampled_from(STATES))
def test_newest_slots_without_an_outcome_make_it_stale(found: str, before: str) -> None:
    assert verdict(found + "m" * STALE_AFTER, before).state == "stale"


@given(letters, st.sampled_from(STATES))
def test_judging_the_same_slots_again_settles(found: str, before: str) -> None:
    """Hysteresis never swings: the verdict, taken as the state so far, is confirmed."""
    first = verdict(found, before).state
    second = verdict(found, first).state
    assert verdict(found, second).state == second


def test_three_successes_in_a_row_end_a_first_outage() -> None:
    """What was cured turns green at once."""
    assert verdict("u" * 40 + "d" * 6 + "u" * CLEAN_TO_RECOVER, "down").state == "up"
    assert verdict("d" * 50 + "u" * CLEAN_TO_RECOVER, "down").state == "up"


def test_a_relapse_needs_a_longer_clean_run() -> None:
    relapsed = "d" * 6 + "u" * CLEAN_TO_RECOVER + "d" * 6
    told = verdict(relapsed + "u" * (CLEAN_AFTER_RELAPSE - 1), "down")
    assert told.state == "down"
    assert verdict(relapsed + "u" * CLEAN_AFTER_RELAPSE, "down").state == "up"


def test_a_target_that_fails_now_and_then_does_not_flap() -> None:
    """At 40 % failures over 2,000 slots, judged after each, it leaves down a few times and not at every third."""
    chance = random.Random(7)
    letters, state, left = "", "unknown", 0
    for _ in range(2_000):
        letters = (letters + ("d" if chance.random() < 0.4 else "u"))[-60:]
        now = verdict(letters, state).state
        left += state == "down" and now != "down"
        state = now
    assert left <= 40
