"""A day of long-lived connections in half a minute: every kind of end is told, nothing is lost, nothing leaks."""

import pytest

from benchmarks.stability import EXPECTED, FEWEST, run
from probes.engine.lives import Ending


async def test_a_compressed_day_of_every_kind_of_end() -> None:
    """The same run that `make proof` does for longer: `python -m benchmarks.stability`."""
    report = await run(30.0, FEWEST)
    assert report.problems == []
    assert set(report.cuts) == set(EXPECTED)
    assert report.restarts >= 2
    steady = [life for life in report.lives["steady"] if life.ending is Ending.PLANNED]
    assert steady
    assert all(life.conversations_failed == 0 and life.conversations_ok >= 2 for life in steady)


async def test_too_few_residents_show_no_pattern_and_are_refused() -> None:
    with pytest.raises(ValueError, match="residents: at least"):
        await run(1.0, 3)
