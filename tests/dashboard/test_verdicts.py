"""The verdict's words, from a table of cases."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboard.verdicts import Facts, Servers, tell
from probes.cure import Judged, Verdict

NOW = datetime(2026, 11, 21, 3, 6, 12, tzinfo=UTC)


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "revision": 43,
        "before": (139, 366),
        "since": (0, 48),
        "slow": False,
        "kinds": {},
        "servers": Servers((), 7),
        "near": NOW - timedelta(minutes=15),
        "next_at": NOW + timedelta(seconds=3),
        "slot_every": timedelta(seconds=5),
        "silent": "",
        "zone": ZoneInfo("UTC"),
    }
    return Facts(**values | changes)


COMPARED = "since revision 43; 139 of 366 before it. If nothing had changed, this would happen less than once in"
CASES = [
    (Judged(Verdict.WAITING), {"since": (0, 0)}, "No probe since revision 43. Next at 03:06:15."),
    (
        Judged(Verdict.WAITING),
        {"since": (0, 0), "silent": "The target is paused."},
        "No probe since revision 43. The target is paused.",
    ),
    (
        Judged(Verdict.UNPROVEN, clean_slots_needed=18),
        {"since": (0, 12)},
        "Not proven yet. 12 clean probes; 30 needed. About 90 s more.",
    ),
    (
        Judged(Verdict.UNPROVEN, clean_slots_needed=140),
        {"since": (0, 1)},
        "Not proven yet. 1 clean probe; 141 needed. About 12 min more.",
    ),
    (
        Judged(Verdict.UNPROVEN),
        {"since": (0, 12), "before": (0, 366)},
        "Not proven yet. 12 clean probes; at least 30 needed.",
    ),
    (
        Judged(Verdict.UNPROVEN),
        {"since": (0, 400), "before": (1, 366)},
        "Not proven yet. 400 clean probes; at least 30 needed. So few failed before that only hours could tell.",
    ),
    (
        Judged(Verdict.UNPROVEN, clean_slots_needed=80),
        {"since": (3, 20)},
        "Not proven yet. 3 of 20 probes fail since revision 43; 139 of 366 before it. About 7 min more.",
    ),
    (
        Judged(Verdict.CURED, 1e-5, 0),
        {},
        f"Cured. 0 of 48 probes failed {COMPARED} 100,000 times.",
    ),
    (
        Judged(Verdict.CURED, 1e-40, 0),
        {"since": (1, 4000)},
        f"Cured. 1 of 4,000 probes failed {COMPARED} 1,000,000 times.",
    ),
    (
        Judged(Verdict.CURED, 0.0099, 0),
        {"slow": True},
        f"Cured. 0 of 48 probes were slow {COMPARED} 100 times.",
    ),
    (
        Judged(Verdict.BETTER, 1e-4, 90),
        {"since": (6, 60), "kinds": {"not_ready": 4, "event_lost": 2}},
        "Better, not cured. 6 of 60 still fail (4.7 to 20 %). Mostly not_ready.",
    ),
    (
        Judged(Verdict.BETTER, 1e-4, 90),
        {"since": (1, 60), "kinds": {"not_ready": 1}},
        "Better, not cured. 1 of 60 still fails (0.29 to 8.9 %). Mostly not_ready.",
    ),
    (Judged(Verdict.UNCURED), {"since": (21, 55)}, "Not cured. 21 of 55 fail, as before."),
    (
        Judged(Verdict.WORSE, 1e-9),
        {"since": (21, 55), "before": (2, 366), "kinds": {"accept_race": 21}},
        "Worse. 21 of 55 probes failed since revision 43; 2 of 366 before it. Mostly accept_race.",
    ),
    (
        Judged(Verdict.SAME),
        {"since": (0, 1), "before": (0, 366)},
        "As before. 0 of 1 probe failed since revision 43; 0 of 366 before it.",
    ),
    (
        Judged(Verdict.CURED, 1e-9, 0),
        {"servers": Servers(("chat-3", "chat-7"), 7)},
        "Cannot tell: 2 of 7 servers still hold an older revision: chat-3, chat-7.",
    ),
    (
        Judged(Verdict.WAITING),
        {"servers": Servers(tuple(f"chat-{n}" for n in range(1, 8)), 9)},
        "Cannot tell: 7 of 9 servers still hold an older revision: chat-1, chat-2, chat-3, chat-4, chat-5 and 2 more.",
    ),
    (
        Judged(Verdict.UNPROVEN),
        {"servers": Servers(("chat-1",), 1)},
        "Cannot tell: 1 of 1 server still holds an older revision: chat-1.",
    ),
]


@pytest.mark.parametrize(("judged", "changes", "sentence"), CASES)
def test_the_sentence_of(judged: Judged, changes: dict[str, Any], sentence: str) -> None:
    assert tell(judged, facts(**changes)).text.replace("\u00a0", " ") == sentence


def test_what_is_not_cured_asks_what_else_changed_then() -> None:
    assert tell(Judged(Verdict.UNCURED), facts(since=(21, 55))).link == "What else changed near 02:51?"


def test_worse_is_said_even_while_servers_are_behind() -> None:
    behind = facts(since=(21, 55), servers=Servers(("chat-3",), 7))
    assert tell(Judged(Verdict.WORSE, 1e-9), behind).word == "Worse."
