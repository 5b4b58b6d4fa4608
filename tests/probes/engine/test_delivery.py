"""Which events came, and what is wrong with them."""

from hypothesis import given
from hypothesis import strategies as st

from probes.engine.delivery import UNNAMED, Delivery
from probes.engine.outcome import EventDefect
from probes.engine.script import CRITICAL_EVENTS

LOST, NEVER, TWICE, REORDERED = (
    EventDefect.LOST,
    EventDefect.NEVER_EMITTED,
    EventDefect.DUPLICATED,
    EventDefect.REORDERED,
)


def delivered(*arrivals: tuple[str, int | None], last_seq: int | None = None, epoch: str = "e") -> Delivery:
    delivery = Delivery("ABCDE")
    delivery.first_seq = 1
    for at, (name, seq) in enumerate(arrivals):
        shown = None if seq is None else delivery.number(epoch, seq)
        delivery.arrived(name, at, at, seq, shown)
    if last_seq is not None:
        delivery.ends_at(last_seq)
    return delivery


def defects(*arrivals: tuple[str, int | None], last_seq: int | None = None) -> dict[str, EventDefect]:
    return delivered(*arrivals, last_seq=last_seq).defects(late_after=None)


def test_a_complete_run_has_no_defects() -> None:
    """With numbers and without."""
    assert defects(("A", 1), ("B", 2), ("C", 3), ("D", 4), ("E", 5), last_seq=5) == {}
    assert defects(("A", None), ("B", None), ("C", None), ("D", None), ("E", None)) == {}


def test_a_gap_where_an_event_belongs_is_a_loss() -> None:
    """The absent event whose place the missing number is."""
    assert defects(("A", 1), ("B", 2), ("D", 4), ("E", 5), last_seq=5) == {"C": LOST}


def test_an_event_absent_without_a_gap_was_never_emitted() -> None:
    """Two absent events: the gap tells which of them was lost."""
    assert defects(("A", 1), ("C", 2), ("E", 4), last_seq=4) == {"B": NEVER, "D": LOST}


def test_the_terminal_events_number_shows_losses_before_it() -> None:
    """The last number is known from the terminal event."""
    assert defects(("B", 2), ("C", 3), ("D", 4), ("E", 5), last_seq=5) == {"A": LOST}


def test_a_gap_beside_a_complete_set_of_names_is_a_loss_without_a_name() -> None:
    """A repeated event's second copy was lost."""
    assert defects(("A", 1), ("B", 2), ("C", 4), ("D", 5), ("E", 6), last_seq=6) == {UNNAMED: LOST}


def test_repeats_with_their_own_numbers_are_no_duplicates() -> None:
    """An agent may think twice; it starts and completes once."""
    assert defects(("A", 1), ("B", 2), ("B", 3), ("C", 4), ("D", 5), ("E", 6), last_seq=6) == {}
    assert defects(("A", 1), ("A", 2), ("B", 3), ("C", 4), ("D", 5), ("E", 6)) == {"A": TWICE}


def test_without_numbers_a_second_copy_is_a_duplicate() -> None:
    """Order and count by name."""
    assert defects(("A", None), ("B", None), ("B", None), ("C", None), ("D", None), ("E", None)) == {"B": TWICE}


def test_without_numbers_order_is_by_name() -> None:
    """The one that came after its successor."""
    assert defects(("A", None), ("C", None), ("B", None), ("D", None), ("E", None)) == {"B": REORDERED}


def test_another_epoch_in_one_run_is_a_break_of_order() -> None:
    """A restarted stream is not the same stream."""
    delivery = delivered(("A", 1), ("B", 2))
    delivery.arrived("C", 3, 3, 1, delivery.number("another", 1))
    assert delivery.defects(late_after=None)["C"] is REORDERED


def test_a_run_that_begins_at_another_number_has_no_gap_before_it() -> None:
    """A server that announces no first number may number all its connections together."""
    delivery = Delivery("AB")
    for at, (name, seq) in enumerate((("A", 57), ("B", 58))):
        delivery.arrived(name, at, at, seq, delivery.number(None, seq))
    assert delivery.defects(late_after=None) == {}


@given(st.permutations(list(range(5))), st.sets(st.integers(0, 4), max_size=4))
def test_lost_and_delivered_add_up(order: list[int], lost: set[int]) -> None:
    """Whatever is dropped and however the rest is mixed: each event is delivered or has a defect; none is invented."""
    delivery = Delivery(CRITICAL_EVENTS)
    delivery.first_seq = 1
    for at, index in enumerate(index for index in order if index not in lost):
        delivery.arrived(CRITICAL_EVENTS[index], at, at, index + 1, delivery.number("e", index + 1))
    delivery.ends_at(5)
    found = delivery.defects(late_after=None)
    assert {name for name, defect in found.items() if defect is LOST} == {CRITICAL_EVENTS[each] for each in lost}
    assert NEVER not in found.values()
    assert TWICE not in found.values()
