"""Bursts the instant the 101 arrives, small: on every server nothing is lost, early or out of order."""

import pytest

from tests.proof.bursts import measure
from tests.proof.counting import FRAMES
from tests.support.asgi_servers import KINDS, Kind

CONNECTIONS = 10


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_sent_during_setup_arrives_complete_and_in_order(kind: Kind) -> None:
    report = measure(kind, CONNECTIONS)
    assert report.wrong(kind.name, CONNECTIONS) == []
    assert report.delivered == CONNECTIONS * FRAMES


def test_a_gate_that_opens_at_once_lets_the_same_bursts_in_early() -> None:
    """So the figures above can be other than they are."""
    report = measure(KINDS[0], CONNECTIONS, "opens_at_once")
    assert report.wrong("uvicorn", CONNECTIONS) == ["uvicorn: frames reached an application that was not ready"]
    assert (report.early > 0, report.false_ready) == (True, CONNECTIONS)
