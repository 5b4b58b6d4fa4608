"""The three examples, as they are copied, under four servers: each a real process, stopped as a container runtime stops
it. All are visited at once, then told apart."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.connections.servers.visits import EARLY, EXAMPLES, WRONG, Visit, visit
from tests.support.asgi_servers import KINDS, Kind

NAMES = ("bare_asgi", "fastapi_chat", "channels_chat")
Visits = Mapping[tuple[str, str], Visit]

each_server = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
each_example = pytest.mark.parametrize("example", NAMES)


@pytest.fixture(scope="module")
def visits() -> Visits:
    pairs = [(kind, example) for example in NAMES for kind in KINDS]
    with ThreadPoolExecutor(max_workers=6) as pool:
        found = pool.map(lambda pair: visit(*pair), pairs)
        return {(kind.name, example): seen for (kind, example), seen in zip(pairs, found, strict=True)}


def test_every_example_is_tested() -> None:
    assert {file.stem for file in EXAMPLES.glob("[!_]*.py")} == set(NAMES)


@each_server
@each_example
def test_the_first_frame_says_that_the_connection_is_ready(visits: Visits, kind: Kind, example: str) -> None:
    first = visits[kind.name, example].frames[0]
    assert (first["type"], first["mode"], first["strategy"]) == ("connection_ready", "normal", "dependency_gate")


@each_server
@each_example
def test_what_was_said_during_setup_is_answered_once_and_in_order(visits: Visits, kind: Kind, example: str) -> None:
    seen = visits[kind.name, example]
    assert [frame["to"] for frame in seen.frames[1:]] == EARLY
    assert [frame["seq"] for frame in seen.frames[1:]] == list(range(1, 1 + len(EARLY)))
    (talked,) = seen.records["client_closed"]
    assert talked["messages"]["delivered"] == len(EARLY)
    assert (talked["false_ready"], talked["held_ms"] >= 300) == (False, True)


@each_server
@each_example
def test_the_strategy_is_on_the_accept_where_the_server_keeps_headers(visits: Visits, kind: Kind, example: str) -> None:
    seen = visits[kind.name, example]
    expected = "dependency_gate" if kind.keeps_accept_headers else None
    assert seen.headers.get("readiness-strategy") == expected


@each_server
@each_example
def test_no_wrong_token_is_let_in_and_none_is_echoed(visits: Visits, kind: Kind, example: str) -> None:
    seen = visits[kind.name, example]
    assert [code for code, _ in seen.refused_tokens] == [4401] * len(WRONG)
    records = seen.records["self_closed"]
    assert {(record["close_code"], record["closed_by"]) for record in records} == {(4401, "application")}
    assert seen.subprotocol == "chat"
    assert "change" not in seen.log.replace("exchange", "")


@each_server
@each_example
def test_a_client_that_leaves_during_setup_is_gone_and_nobodys_error(visits: Visits, kind: Kind, example: str) -> None:
    seen = visits[kind.name, example]
    assert seen.records["client_gone"]  # one, and newcomers that came between the signal and the drain
    assert "Traceback" not in seen.log


@each_server
@each_example
def test_sigterm_drains_before_the_server_stops(visits: Visits, kind: Kind, example: str) -> None:
    """Daphne's protocol library leaves applications only 1000 and 3000 to 4999: there 1012 is 4012."""
    seen = visits[kind.name, example]
    assert seen.drained_code == (4012 if kind.name == "daphne" else 1012)
    assert seen.newcomer_status == (403 if kind.name == "daphne" else 503)
    records = seen.records["drained"]
    assert {record["closed_by"] for record in records} == {"gate"}
    drained = [record for record in records if record["state_reached"] == "draining"]
    assert {record["close_code"] for record in drained} == {seen.drained_code}
    assert seen.exit_status in (0, -15)
