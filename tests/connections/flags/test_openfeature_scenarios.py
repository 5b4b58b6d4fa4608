"""The OpenFeature specification's evaluation scenarios, evaluated in place and as OFREP answers."""

import json

import pytest

from connections.flags import ofrep
from connections.flags.definitions import check
from connections.flags.evaluation import ErrorCode, evaluate
from tests.support.openfeature_scenarios import FLAGS, SCENARIOS, Scenario


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.flag}-{one.reason}")
def test_a_flag_comes_to_what_the_specification_says(scenario: Scenario) -> None:
    found = evaluate(FLAGS, scenario.flag, scenario.context)
    assert (found.value, found.variant, found.reason) == (scenario.value, scenario.variant, scenario.reason)
    assert type(found.value) is type(scenario.value)
    assert found.metadata == scenario.metadata


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.flag}-{one.reason}")
def test_its_ofrep_answer_carries_the_same_in_the_same_type(scenario: Scenario) -> None:
    answer = ofrep.single(FLAGS, scenario.flag, scenario.context)
    assert (answer.status, answer.body is None) == (200, False)
    told = json.loads(answer.body or b"")
    assert (told.get("value"), told["variant"], told["reason"]) == (scenario.value, scenario.variant, scenario.reason)
    assert type(told.get("value")) is type(scenario.value)


@pytest.mark.parametrize("key", sorted(FLAGS))
def test_every_flag_of_the_scenarios_could_be_stored(key: str) -> None:
    check(key, FLAGS[key])


def test_a_flag_that_is_not_there_is_an_error_that_names_it() -> None:
    found = evaluate(FLAGS, "non-existent-flag", {})
    assert (found.error_code, found.variant) == (ErrorCode.FLAG_NOT_FOUND, None)
    assert "non-existent-flag" in (found.error_details or "")
