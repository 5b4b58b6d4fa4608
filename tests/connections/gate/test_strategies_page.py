"""docs/strategies.md says what the code does."""

from connections.gate.strategies import STRATEGIES
from tests.support.strategies_page import ORDER, PAGE, written


def test_the_page_lists_every_strategy_and_parameter_as_they_are() -> None:
    """If not: `python -m tests.support.strategies_page` writes it."""
    page = PAGE.read_text()
    assert written(page) == page


def test_no_strategy_is_left_out() -> None:
    assert set(STRATEGIES) <= set(ORDER)
