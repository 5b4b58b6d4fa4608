"""What is new in totals, for any order and repetition of reports, and any number of restarts."""

from hypothesis import given
from hypothesis import strategies as st

from connections.flags import totals

STRATEGIES, CAUSES = ("immediate", "dependency_gate"), ("client_gone", "client_closed", "not_ready")
steps = st.lists(st.tuples(st.sampled_from(STRATEGIES), st.sampled_from(CAUSES)), max_size=30)


def growing(ended: list[tuple[str, str]]) -> list[dict[str, dict[str, int]]]:
    """The totals of one process after each of these ends, from none on."""
    told: list[dict[str, dict[str, int]]] = [{}]
    told.extend(totals.added([told[-1], {strategy: {cause: 1}}]) for strategy, cause in ended)
    return told


@given(steps, st.data())
def test_whichever_reports_of_a_process_arrive_in_whatever_order_each_end_is_counted_once(
    ended: list[tuple[str, str]], data: st.DataObject
) -> None:
    told = growing(ended)
    arrived = [*data.draw(st.permutations(told * 2)), told[-1]]
    kept: dict[str, dict[str, int]] = {}
    counted: list[dict[str, dict[str, int]]] = []
    for report in arrived:
        counted.append(totals.news(kept, report, named=True))
        kept = totals.kept(kept, report, named=True)
    assert totals.added(counted) == told[-1]


@given(st.lists(steps, min_size=1, max_size=4))
def test_of_a_process_without_a_name_a_restart_is_seen_by_a_count_that_fell(lives: list[list[tuple[str, str]]]) -> None:
    """Each life reports after each of its ends. A life that ends nothing is no restart that anybody could see."""
    kept: dict[str, dict[str, int]] = {}
    counted: list[dict[str, dict[str, int]]] = []
    for life in lives:
        for report in growing(life):
            counted.append(totals.news(kept, report, named=False))
            kept = totals.kept(kept, report, named=False)
    assert totals.added(counted) == totals.added(growing(life)[-1] for life in lives)


def test_nothing_new_is_nothing() -> None:
    told = {"immediate": {"client_gone": 3}}
    assert totals.news(told, told, named=True) == {}
    assert totals.news(told, told, named=False) == {}
