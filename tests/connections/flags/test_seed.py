"""What the migrations seed is what the gate understands."""

import pytest

from connections.flags.reading import flag_set
from connections.gate.strategies import STRATEGIES, build

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_gate_takes_the_seeded_parameters_of_each_strategy_without_complaint(name: str) -> None:
    seeded = flag_set("staging").definitions["readiness-parameters"]["variants"]["default"]
    assert build(name, seeded).problems == ()


def test_every_strategy_that_can_be_served_is_the_gates() -> None:
    assert set(flag_set("staging").definitions["readiness-strategy"]["variants"]) <= set(STRATEGIES)
