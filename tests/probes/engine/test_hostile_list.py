"""Every server of docs/hostile-servers.md, on a real socket: the verdict is the table's, the sentence the page's."""

import asyncio
import re

import pytest

from probes.engine.client import Prober
from probes.engine.outcome import FailureKind
from tests.support.certificates import Authority
from tests.support.hostile_servers import CASES, CODES, PAGE, STAGES, Case, outcome_of, page_of, row_of
from tests.support.stages import judged


def documented() -> dict[str, list[str]]:
    """The page's rows by section."""
    rows: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, *lines = part.splitlines()
        rows[title] = [line for line in lines if line.startswith("| ") and not line.startswith("| server |")]
    return rows


ROWS = documented()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section}: {case.name}")
async def test_a_server_is_told_as_the_page_says(prober: Prober, certificates: Authority, case: Case) -> None:
    """Kind and phase are the table's, the sentence is the page's, and no answer waits for 60 s."""
    async with asyncio.timeout(20):
        outcome = await outcome_of(case, certificates, prober)
    if outcome.kind is FailureKind.CONNECTION_RESET and outcome.phase == "tcp":
        assert case.name == "after TCP"  # the reset was there before connect() returned
        return
    assert judged(outcome) == (case.kind, case.phase), outcome
    assert row_of(case, outcome) in ROWS[case.section]


def test_the_page_lists_these_servers_and_no_others() -> None:
    """`python -m tests.support.hostile_servers` writes it anew."""
    names: dict[str, list[str]] = {}
    for case in CASES:
        names.setdefault(case.section, []).append(case.name)
    assert {section: [row.split(" | ")[0][2:] for row in rows] for section, rows in ROWS.items()} == names
    assert PAGE.read_text() == page_of(ROWS)


def test_a_close_after_the_run_is_no_failure_whoever_comes_first() -> None:
    """Of all codes."""
    last = [case for case in CASES if case.section == "A close after the last event"]
    assert [case.kind for case in last] == [None] * len(CODES)


def test_every_stage_and_code_has_a_server() -> None:
    closes = [case for case in CASES if case.section.startswith("A close ")]
    assert len(closes) == len(STAGES) * len(CODES)


def test_kinds_that_need_no_hostile_server_are_the_only_ones_absent() -> None:
    """Ours, names that do not resolve, proxies, the race and what never came in order: each has tests of its own."""
    elsewhere = {
        FailureKind.POLICY_DENIED,
        FailureKind.PROBE_ERROR,
        FailureKind.MISSED,
        FailureKind.DNS_FAILED,
        FailureKind.PROXY_FAILED,
        FailureKind.ACCEPT_RACE,
    }
    assert {case.kind for case in CASES} - {None} == set(FailureKind) - elsewhere
