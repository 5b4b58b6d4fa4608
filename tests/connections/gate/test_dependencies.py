"""Checks: any async callable, within its budget, tried again where that may help; shared by all who ask."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from connections.gate.dependencies import Board, Check, CheckResult, run_check
from tests.support.waiting import await_until


class Dependency:
    """Something that serves, refuses or hangs as told, and counts who asked."""

    def __init__(self, *, serves: bool = True) -> None:
        self.serves = serves
        self.asked = 0
        self.hangs = False

    async def __call__(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if not self.serves:
            raise ConnectionRefusedError("nobody there")


def quick(call: Callable[[], object], **more: object) -> Check:
    return Check("redis", call, **{"retry_first_s": 0.001, **more})  # type: ignore[arg-type]


async def test_a_check_that_returns_is_a_pass() -> None:
    result = await run_check(Check("redis", Dependency()))
    assert (result.ok, result.error, result.tries) == (True, "", 1)


async def test_a_check_that_goes_on_raising_fails_with_its_reason() -> None:
    down = Dependency(serves=False)
    result = await run_check(quick(down, attempts=3))
    assert (result.ok, result.error) == (False, "ConnectionRefusedError: nobody there")
    assert result.tries == down.asked == 3


async def test_a_transient_failure_is_tried_again() -> None:
    """One lost packet must not close a connection."""
    failures = [ConnectionResetError("once"), TimeoutError("twice")]

    async def recovers() -> None:
        if failures:
            raise failures.pop()

    result = await run_check(quick(recovers))
    assert (result.ok, result.tries, result.error) == (True, 3, "")


async def test_a_mistake_in_the_check_itself_is_not_tried_again() -> None:
    asked = 0

    async def wrong() -> None:
        nonlocal asked
        asked += 1
        raise AttributeError("no such method")

    assert not (await run_check(quick(wrong))).ok
    assert asked == 1


async def test_a_check_that_hangs_fails_in_its_time_and_says_what_came_before() -> None:
    hung = Dependency()
    hung.hangs = True
    assert (await run_check(quick(hung, timeout_s=0.01))).error == "no answer within 0.01 s"
    down = Dependency(serves=False)

    async def then_hangs() -> None:
        await (down() if not down.asked else hung())

    result = await run_check(quick(then_hangs, timeout_s=0.05))
    assert result.error == "no answer within 0.05 s, after ConnectionRefusedError: nobody there"


async def test_no_try_begins_that_the_budget_has_no_time_for() -> None:
    down = Dependency(serves=False)
    result = await run_check(Check("redis", down, timeout_s=5.0, retry_first_s=100.0))
    assert (result.tries, result.seconds < 5.0) == (1, True)


def test_pauses_double_and_differ_from_server_to_server() -> None:
    check = Check("redis", Dependency(), retry_first_s=0.1)
    for tries, longest in ((1, 0.1), (2, 0.2), (3, 0.4)):
        pauses = [check.pause_s(tries) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest


async def test_a_cancelled_check_is_cancelled_and_not_called_a_failure() -> None:
    hung = Dependency()
    hung.hangs = True
    task = asyncio.create_task(run_check(Check("redis", hung)))
    await await_until(lambda: hung.asked)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_checks_run_side_by_side() -> None:
    """Two that wait for each other can only pass together."""
    gate = asyncio.Barrier(2)
    found: list[CheckResult] = []
    Board([Check("a", gate.wait), Check("b", gate.wait)]).here().join(found.append)
    await await_until(lambda: len(found) == 2)
    assert sorted(result.name for result in found if result.ok) == ["a", "b"]


async def test_connections_that_come_together_share_one_run() -> None:
    """A hundred clients after a restart must not be a hundred pings."""
    redis = Dependency()
    board = Board([Check("redis", redis)]).here()
    found: list[list[CheckResult]] = [[] for _ in range(100)]
    for each in found:
        assert board.join(each.append) == []
    await await_until(lambda: all(found))
    assert redis.asked == 1
    assert all([result.ok for result in each] == [True] for each in found)


async def test_an_answer_is_valid_for_its_time_and_given_at_once() -> None:
    redis = Dependency()
    board = Board([Check("redis", redis, ttl_s=60)]).here()
    first: list[CheckResult] = []
    board.join(first.append)
    await await_until(lambda: first)
    assert board.join(print) == first
    assert redis.asked == 1


async def test_an_answer_that_is_too_old_is_asked_for_again() -> None:
    redis = Dependency()
    board = Board([Check("redis", redis, ttl_s=0)]).here()
    for asked in (1, 2, 3):
        found: list[CheckResult] = []
        assert board.join(found.append) == []
        await await_until(lambda found=found: found)  # type: ignore[misc]
        assert redis.asked == asked


async def test_who_leaves_early_stops_nobody_elses_answer() -> None:
    redis = Dependency()
    board = Board([Check("redis", redis)]).here()
    gone: list[CheckResult] = []
    stays: list[CheckResult] = []
    board.join(gone.append)
    board.leave(gone.append)
    board.join(stays.append)
    await await_until(lambda: stays)
    assert (len(stays), gone) == (1, [])


async def test_a_failing_dependency_is_watched_and_its_recovery_told_to_all() -> None:
    redis = Dependency(serves=False)
    board = Board([quick(redis, ttl_s=0)]).here()
    one: list[bool] = []
    other: list[bool] = []
    board.join(lambda result: one.append(result.ok))
    board.join(lambda result: other.append(result.ok))
    await await_until(lambda: one == other == [False])
    redis.serves = True
    await await_until(lambda: one == other == [False, True])


async def test_a_dependency_that_fails_later_is_told_to_those_who_are_long_connected() -> None:
    redis = Dependency()
    board = Board([quick(redis, ttl_s=0)]).here()
    long_there: list[bool] = []
    board.join(lambda result: long_there.append(result.ok))
    await await_until(lambda: long_there == [True])
    redis.serves = False
    newcomer: list[bool] = []
    board.join(lambda result: newcomer.append(result.ok))
    await await_until(lambda: newcomer)
    assert (long_there, newcomer) == ([True, False], [False])


async def test_the_same_answer_again_is_told_to_newcomers_only() -> None:
    """Else each accept would cost as much as there are connections."""
    redis = Dependency()
    board = Board([Check("redis", redis, ttl_s=0)]).here()
    long_there: list[bool] = []
    board.join(lambda result: long_there.append(result.ok))
    await await_until(lambda: long_there)
    for _ in range(3):
        newcomer: list[CheckResult] = []
        board.join(newcomer.append)
        await await_until(lambda newcomer=newcomer: newcomer)  # type: ignore[misc]
    assert long_there == [True]


async def test_nobody_watches_for_nobody() -> None:
    """One watcher, and only while somebody is connected and something fails."""
    redis = Dependency(serves=False)
    board = Board([quick(redis, attempts=1)]).here()
    found: list[CheckResult] = []
    before = asyncio.all_tasks()
    board.join(found.append)
    board.join(print)
    await await_until(lambda: found)
    assert len(asyncio.all_tasks() - before) == 1
    board.leave(found.append)
    board.leave(print)
    await await_until(lambda: asyncio.all_tasks() == before)


async def test_a_connection_that_cannot_take_an_answer_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def broken(result: CheckResult) -> None:
        raise LookupError(result.name)

    board = Board([Check("redis", Dependency())]).here()
    found: list[CheckResult] = []
    board.join(broken)
    board.join(found.append)
    await await_until(lambda: found)
    assert "could not take the answer of check redis" in caplog.text


def test_each_event_loop_has_its_own_answers() -> None:
    """A gate may be served from several threads; a task of one loop cannot be awaited from another."""
    redis = Dependency()
    board = Board([Check("redis", redis, ttl_s=60)])

    async def one_answer() -> bool:
        found: list[CheckResult] = []
        board.here().join(found.append)
        await await_until(lambda: found)
        return found[0].ok

    assert asyncio.run(one_answer())
    assert asyncio.run(one_answer())
    assert redis.asked == 2
    gc.collect()
    assert len(board._by_loop) == 0, "a loop that has gone is not kept"
