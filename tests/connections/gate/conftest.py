"""Fixtures of the gate's tests: the records of ended connections."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.waiting import wait_until

Records = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ended(caplog: pytest.LogCaptureFixture) -> Records:
    """Wait until `count` connections have ended; returns their records."""
    caplog.set_level(logging.INFO, logger="readywire.gate")

    def records(count: int = 1) -> list[dict[str, Any]]:
        def so_far() -> list[dict[str, Any]]:
            return [json.loads(r.getMessage()) for r in list(caplog.records) if r.name == "readywire.gate"]

        wait_until(lambda: len(so_far()) >= count, what=f"{count} connections ended")
        found = so_far()
        assert len(found) == count
        return found

    return records
