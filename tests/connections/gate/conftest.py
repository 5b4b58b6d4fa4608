"""Fixtures of the gate's tests: the records of ended connections."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.waiting import wait_until

Records = Callable[..., list[dict[str, Any]]]


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The gate's structured records so far."""
    texts = [each.getMessage() for each in list(caplog.records) if each.name.startswith("readywire.gate")]
    return [json.loads(text) for text in texts if text.startswith("{")]


@pytest.fixture
def ended(caplog: pytest.LogCaptureFixture) -> Records:
    """Wait until `count` connections have ended; returns their records."""
    caplog.set_level(logging.INFO, logger="readywire.gate")

    def records(count: int = 1) -> list[dict[str, Any]]:
        def so_far() -> list[dict[str, Any]]:
            return [each for each in told(caplog) if each["event"] == "connection_end"]

        wait_until(lambda: len(so_far()) >= count, what=f"{count} connections ended")
        found = so_far()
        assert len(found) == count
        return found

    return records
