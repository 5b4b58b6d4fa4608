"""Which events came, and what is wrong with them."""

from collections.abc import Sequence

from hypothesis import given, settings
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
@settings(deadline=None)
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


# The grammar of the five critical events. -----------------------------------------------------------------------------

Event = tuple[str, int | None, str | None]
STARTED, THINKING, EXECUTING, COMPLETED, FINISHED = CRITICAL_EVENTS


def run(thoughts: int, calls: int, *, numbered: bool = True) -> list[Event]:
    """A whole run of the grammar."""
    names: list[tuple[str, str | None]] = [(STARTED, None), *[(THINKING, None)] * thoughts]
    for call in range(calls):
        names += [(EXECUTING, f"call-{call}"), (COMPLETED, f"call-{call}")]
    names.append((FINISHED, None))
    return [(name, seq if numbered else None, call) for seq, (name, call) in enumerate(names, 1)]


def found(events: Sequence[Event], last_seq: int | None, *, announced: int | None = 1) -> dict[str, EventDefect]:
    """What is wrong with a run that came so."""
    delivery = Delivery(CRITICAL_EVENTS)
    delivery.first_seq = announced
    for at, (name, seq, call) in enumerate(events):
        shown = None if seq is None else delivery.number("e", seq)
        delivery.arrived(name, at, at, seq, shown, call=call)
        if name == FINISHED and last_seq is not None:
            delivery.ends_at(last_seq)
    return delivery.defects(late_after=None)


runs = st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda sizes: run(*sizes))


@given(runs)
@settings(deadline=None)
def test_every_run_of_the_grammar_is_whole(events: list[Event]) -> None:
    """However often it thinks, and however many tools it calls."""
    assert found(events, len(events)) == {}
    assert found(events, len(events), announced=None) == {}


@given(runs, st.data())
@settings(deadline=None)
def test_whatever_is_lost_is_known_to_be_lost_and_nothing_else_is_blamed(
    events: list[Event], data: st.DataObject
) -> None:
    """The one name that has a defect is that of the lost event, or none where a repeat of it came."""
    gone = data.draw(st.integers(0, len(events) - 2))
    defects = found(events[:gone] + events[gone + 1 :], len(events))
    name = events[gone][0]
    unnamed = name == THINKING and any(each[0] == THINKING for each in events[:gone] + events[gone + 1 :])
    assert defects == {UNNAMED if unnamed else name: LOST}


@given(runs, st.data())
@settings(deadline=None)
def test_a_second_copy_is_a_duplicate_wherever_it_comes(events: list[Event], data: st.DataObject) -> None:
    """The same number again."""
    again = data.draw(st.integers(0, len(events) - 1))
    place = data.draw(st.integers(again + 1, len(events)))
    assert found([*events[:place], events[again], *events[place:]], len(events)) == {events[again][0]: TWICE}


@given(runs, st.data())
@settings(deadline=None)
def test_what_overtakes_makes_the_overtaken_reordered(events: list[Event], data: st.DataObject) -> None:
    """Its numbers show the order in which it was sent: nothing was lost, and no pair is broken."""
    place = data.draw(st.integers(0, len(events) - 2))
    swapped = [*events[:place], events[place + 1], events[place], *events[place + 2 :]]
    assert found(swapped, len(events)) == {events[place][0]: REORDERED}


@given(runs, st.data())
@settings(deadline=None)
def test_what_was_never_emitted_leaves_no_gap(events: list[Event], data: st.DataObject) -> None:
    """The rest is numbered as if it had never been."""
    gone = data.draw(st.integers(1, len(events) - 2))
    name = events[gone][0]
    rest = [(each, seq, call) for seq, (each, _old, call) in enumerate(events[:gone] + events[gone + 1 :], 1)]
    spare = name == THINKING and any(each[0] == THINKING for each in rest)
    assert found(rest, len(rest)) == ({} if spare else {name: NEVER})


@given(st.integers(1, 3), st.integers(1, 3))
@settings(deadline=None)
def test_without_numbers_the_grammar_decides_by_name_and_call(thoughts: int, calls: int) -> None:
    """Tool calls are told apart by their ids; a repeated thought cannot be told from a second copy."""
    expected = {} if thoughts == 1 else {THINKING: TWICE}
    assert found(run(thoughts, calls, numbered=False), None) == expected


def test_event_ids_tell_repeats_from_copies_where_no_number_does() -> None:
    """The origin's events carry them."""
    delivery = Delivery(["A", "B", "C"])
    for at, (name, event_id) in enumerate((("A", "1"), ("B", "2"), ("B", "3"), ("C", "4"))):
        delivery.arrived(name, at, at, None, None, event_id=event_id)
    assert delivery.defects(late_after=None) == {}
    delivery.arrived("B", 9, 9, None, None, event_id="3")
    assert delivery.defects(late_after=None) == {"B": TWICE}


def test_a_pair_whose_calls_differ_is_two_halves() -> None:
    """Each half lacks its other half; nothing is missing in the sequence, so neither was sent."""
    events = [(STARTED, 1, None), (THINKING, 2, None), (EXECUTING, 3, "a"), (COMPLETED, 4, "b"), (FINISHED, 5, None)]
    assert found(events, 5) == {EXECUTING: NEVER, COMPLETED: NEVER}


def test_calls_that_interleave_break_the_grammar() -> None:
    """A pair stands together."""
    names = [(EXECUTING, "a"), (EXECUTING, "b"), (COMPLETED, "a"), (COMPLETED, "b")]
    events: list[Event] = [(STARTED, 1, None), (THINKING, 2, None)]
    events += [(name, seq, call) for seq, (name, call) in enumerate(names, 3)]
    assert found([*events, (FINISHED, 7, None)], 7) == {COMPLETED: REORDERED}


def test_numbers_that_agree_with_a_wrong_order_do_not_excuse_it() -> None:
    """Thinking after the tools were used: sent so, and still no run of the grammar."""
    order = [(STARTED, None), (EXECUTING, "a"), (COMPLETED, "a"), (THINKING, None), (FINISHED, None)]
    events = [(name, seq, call) for seq, (name, call) in enumerate(order, 1)]
    assert found(events, 5) == {THINKING: REORDERED}


def test_the_numbers_are_exactly_one_to_the_last() -> None:
    """A run that begins at 2 where nothing was announced has lost its first frame; beyond the last is out of order."""
    shifted = [(name, (seq or 0) + 1, call) for name, seq, call in run(1, 1)]
    assert found(shifted, 6, announced=None) == {UNNAMED: LOST}
    assert found(run(1, 1), 4) == {FINISHED: REORDERED}


anything = st.tuples(
    st.sampled_from(CRITICAL_EVENTS), st.one_of(st.none(), st.integers(0, 9)), st.sampled_from(["a", "b", None])
)


@given(st.lists(anything))
@settings(deadline=None)
def test_whatever_comes_is_judged_and_only_a_run_of_the_grammar_is_whole(events: list[Event]) -> None:
    """A judgement without defects is proof: five types, their order, their pairs, and all numbers."""
    defects = found(events, 9)
    if defects:
        return
    names = [name for name, _seq, _call in events]
    assert set(names) == set(CRITICAL_EVENTS)
    if all(seq is not None for _name, seq, _call in events):
        assert sorted(seq or 0 for _name, seq, _call in events) == list(range(1, 10))


def test_a_flood_of_events_is_judged_in_reasonable_time() -> None:
    """Work grows with the number of events, not with its square."""
    delivery = Delivery(CRITICAL_EVENTS)
    for seq in range(1, 20_001):
        shown = delivery.number("e", seq)
        delivery.arrived(EXECUTING, seq, seq, seq, shown, call=str(seq))
        assert not delivery.complete
    assert delivery.defects(late_after=None)[COMPLETED] is NEVER
