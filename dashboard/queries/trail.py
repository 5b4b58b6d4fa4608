"""Whether the record of what was done is unbroken, for the audit page: checked now and then, not for each page."""

import time
from dataclasses import dataclass

from connections.flags.verifying import Checked, verify

AGAIN_AFTER_SECONDS = 30.0
COSTS_AT_MOST = 0.01
"""Of this process's time: a check of 10,000 rows takes half a second, so a long trail is checked less often."""


@dataclass(frozen=True)
class _Memo:
    checked: Checked
    again_at: float


_memos: list[_Memo] = []


def trail() -> Checked:
    """The last check of this process, or a new one where it is old."""
    began = time.monotonic()
    if not _memos or _memos[-1].again_at <= began:
        checked = verify()
        took = time.monotonic() - began
        _memos[:] = [_Memo(checked, began + max(AGAIN_AFTER_SECONDS, took / COSTS_AT_MOST))]
    return _memos[-1].checked


def forget() -> None:
    """Check anew the next time."""
    _memos.clear()
