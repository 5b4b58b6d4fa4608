"""Users of the reference chat, small: many at once, and under restarts, delays, cuts and an outage."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.proof.crowd import at_once, restarted
from tests.proof.paths import ONE_WAY_MS, cut, delayed, outage
from tests.proof.users import Tally
from tests.support.asgi_servers import KINDS, Kind

USERS = 10


@pytest.fixture(scope="module")
def restarts() -> Mapping[str, Tally]:
    with ThreadPoolExecutor(max_workers=len(KINDS)) as pool:
        found = pool.map(lambda kind: restarted(kind, USERS, 1), KINDS)
        return {kind.name: each for kind, each in zip(KINDS, found, strict=True)}


def test_every_event_of_authenticated_users_comes() -> None:
    found = at_once(KINDS[0], 30, 2.0, think_s=0.2, session_s=0.7)
    assert found.wrong == []
    assert (found.due_and_come, found.sessions > 30) == (found.due, True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_restart_closes_cleanly_and_calls_nothing_delivered_that_did_not_come(
    restarts: Mapping[str, Tally], kind: Kind
) -> None:
    found = restarts[kind.name]
    assert found.wrong == []
    assert found.codes == {"4012" if kind.name == "daphne" else "1012": USERS, "left": USERS}


@pytest.mark.parametrize("one_way_ms", ONE_WAY_MS)
def test_a_slow_path_loses_nothing(one_way_ms: float) -> None:
    assert delayed(USERS, one_way_ms, messages=1).wrong == []


@pytest.mark.parametrize("told", [True, False], ids=["the server is told", "the server is not told"])
def test_a_proxy_that_cuts_is_no_error_and_no_delivery(told: bool) -> None:
    assert cut(USERS, 0.7, told=told).wrong == []


def test_an_outage_of_an_optional_service_is_told_to_everyone_and_so_is_its_end() -> None:
    assert outage(USERS).wrong == []
