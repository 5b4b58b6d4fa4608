"""The abandonment run, small: what an unguarded server says of clients who left, and what one with the gate says."""

import pytest

from tests.proof.abandonment import ORIGIN, TODAY, Run, crowd, measure_all

CLIENTS = 150


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, bool], Run]:
    return {(run.versions, run.gated): run for run in measure_all(CLIENTS, at_once=4)}


@pytest.mark.parametrize("gated", [False, True], ids=["no gate", "gate"])
@pytest.mark.parametrize("versions", [ORIGIN, TODAY])
def test_the_server_says_of_clients_who_left_what_is_claimed(
    runs: dict[tuple[str, bool], Run], versions: str, gated: bool
) -> None:
    """The origin's versions: "Need to call accept first" for each. Today's: answers called served, to nobody. With the
    gate: no error, and client_gone for exactly those who gave up."""
    run = runs[versions, gated]
    assert run.wrong() == []
    assert run.report.gave_up == sum(client.gives_up for client in crowd(CLIENTS)) > CLIENTS / 3
