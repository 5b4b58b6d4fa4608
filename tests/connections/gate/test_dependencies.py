"""Checks: any async callable, side by side, each within its own time."""

import asyncio

import pytest

from connections.gate.dependencies import Check, CheckResult, run_check, run_checks


async def fine() -> None:
    return


async def broken() -> None:
    raise ConnectionRefusedError("nobody there")


async def hung() -> None:
    await asyncio.Event().wait()


async def test_a_check_that_returns_is_a_pass() -> None:
    result = await run_check(Check("redis", fine))
    assert result.ok
    assert result.error == ""


async def test_a_check_that_raises_fails_with_its_reason() -> None:
    result = await run_check(Check("redis", broken))
    assert not result.ok
    assert result.error == "ConnectionRefusedError: nobody there"


async def test_a_check_that_hangs_fails_in_its_time() -> None:
    result = await run_check(Check("redis", hung, timeout_s=0.01))
    assert not result.ok
    assert "0.01 s" in result.error


async def test_checks_run_side_by_side() -> None:
    """Two that wait for each other can only pass together."""
    gate = asyncio.Barrier(2)
    found: list[CheckResult] = []
    await run_checks([Check("a", gate.wait), Check("b", gate.wait)], found.append)
    assert sorted(result.name for result in found if result.ok) == ["a", "b"]


async def test_a_cancelled_check_is_cancelled_and_not_called_a_failure() -> None:
    started = asyncio.Event()

    async def waits() -> None:
        started.set()
        await hung()

    task = asyncio.create_task(run_check(Check("redis", waits)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
