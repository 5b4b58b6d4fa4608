"""What to check next: the page and the table say the same."""

import re
from pathlib import Path

import pytest

from probes.engine.advice import BY_CLOSE_CODE, BY_STATUS, NEXT_CHECK, next_check
from probes.engine.outcome import FailureKind, Outcome

PAGE = (Path(__file__).parents[3] / "docs" / "failures.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_the_page_lists_every_kind_in_order_with_its_owner_and_advice() -> None:
    """The order is the precedence; the words are those that a verdict shows."""
    assert [(row[0], row[1], row[3]) for row in ROWS] == [
        (f"`{kind}`", kind.owner.value, NEXT_CHECK[kind]) for kind in FailureKind
    ]


@pytest.mark.parametrize("table", [BY_STATUS, BY_CLOSE_CODE], ids=["status", "close code"])
def test_the_page_lists_the_advice_by_status_and_code(table: dict[int, str]) -> None:
    """Each on a row of its own."""
    for number, advice in table.items():
        assert f"| {number} | {advice} |" in PAGE


def test_the_page_has_no_row_that_the_tables_lack() -> None:
    """Advice that is shown nowhere helps nobody."""
    assert len(re.findall(r"^\| \d{3,4} \|", PAGE, re.MULTILINE)) == len(BY_STATUS) + len(BY_CLOSE_CODE)


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        (Outcome(), ""),
        (Outcome(kind=FailureKind.UPGRADE_REJECTED, http_status=429), BY_STATUS[429]),
        (Outcome(kind=FailureKind.UPGRADE_REJECTED, http_status=418), NEXT_CHECK[FailureKind.UPGRADE_REJECTED]),
        (Outcome(kind=FailureKind.UNAUTHORIZED, http_status=403), NEXT_CHECK[FailureKind.UNAUTHORIZED]),
        (Outcome(kind=FailureKind.UNAUTHORIZED, http_status=101, close_code=1008), BY_CLOSE_CODE[1008]),
        (Outcome(kind=FailureKind.CLOSED_EARLY, http_status=101, close_code=1012), BY_CLOSE_CODE[1012]),
        (Outcome(kind=FailureKind.CLOSED_EARLY, close_code=4999), NEXT_CHECK[FailureKind.CLOSED_EARLY]),
        (Outcome(kind=FailureKind.EVENT_LOST, close_code=1011), NEXT_CHECK[FailureKind.EVENT_LOST]),
    ],
)
def test_a_status_or_code_that_tells_more_than_the_kind_is_heard(outcome: Outcome, advice: str) -> None:
    """A code that came beside another failure does not take its place."""
    assert next_check(outcome) == advice
