"""What ended a connection: told from one life, or from what several share."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.engine.cuts import KNOWN_S, NEXT_CHECK, Cut, told
from probes.engine.lives import Ending, Life

START = datetime(2026, 1, 1, tzinfo=UTC)
S = 1_000_000


def life(
    age_s: float, *, at_s: float = 0.0, ending: Ending = Ending.DROPPED, code: int | None = None, idle_s: float = 1.0,
    patience_s: float = 10.0, number: int = 0,
) -> Life:  # fmt: skip
    """A life that was ready at once; `at_s`: when it began."""
    return Life(
        1, number, START + timedelta(seconds=at_s), ending, opened_us=0, ready_us=0, ended_us=round(age_s * S),
        idle_us=round(idle_s * S), patience_us=round(patience_s * S), close_code=code,
    )  # fmt: skip


def causes(*lives: Life) -> list[Cut]:
    return [each.cut for each in told(lives)]


@pytest.mark.parametrize(
    ("ending", "code", "cut"),
    [
        (Ending.PLANNED, 1000, Cut.PLANNED),
        (Ending.STOPPED, 1000, Cut.STOPPED),
        (Ending.SILENT, None, Cut.HALF_OPEN),
        (Ending.BROKEN, None, Cut.BROKEN),
        (Ending.CLOSED, 1012, Cut.RESTART),
        (Ending.CLOSED, 1001, Cut.RESTART),
        (Ending.CLOSED, 1011, Cut.CLOSED),
        (Ending.CLOSED, 4408, Cut.CLOSED),
        (Ending.CLOSED, 1000, Cut.CLOSED),
        (Ending.DROPPED, None, Cut.DROPPED),
        (Ending.RESET, None, Cut.RESET),
    ],
)
def test_one_life_of_no_telling_age_says_what_it_saw(ending: Ending, code: int | None, cut: Cut) -> None:
    assert causes(life(437, ending=ending, code=code)) == [cut]


@pytest.mark.parametrize("ending", [Ending.DROPPED, Ending.RESET, Ending.CLOSED])
@pytest.mark.parametrize("seconds", KNOWN_S)
def test_one_life_that_ends_at_a_usual_timeout_shows_it(seconds: int, ending: Ending) -> None:
    [found] = told([life(seconds + 0.1, ending=ending, code=1001 if ending is Ending.CLOSED else None)])
    assert (found.cut, found.limit_us) == (Cut.AGE_LIMIT, seconds * S)


def test_a_deployment_is_told_by_its_code_whatever_the_age() -> None:
    assert causes(life(300, ending=Ending.CLOSED, code=1012)) == [Cut.RESTART]


def test_three_lives_of_one_unusual_age_at_different_moments_show_a_limit() -> None:
    found = told([life(437 + 0.1 * n, at_s=500 * n) for n in range(3)])
    assert {each.cut for each in found} == {Cut.AGE_LIMIT}
    assert found[0].limit_us == round(437.1 * S)


def test_a_life_that_a_busy_machine_cut_late_has_the_limit_of_the_others() -> None:
    lives = [life(437 + late, at_s=500 * n) for n, late in enumerate((0.0, 4.0, 9.0, 20.0))]
    assert set(causes(*lives)) == {Cut.AGE_LIMIT}


def test_two_restarts_after_the_same_time_are_no_limit() -> None:
    """Each cuts all residents, and all begin again together."""
    assert set(causes(*[life(437, at_s=at, number=n) for at in (0, 440) for n in range(5)])) == {Cut.RESTART}


def test_two_lives_of_one_age_may_be_chance() -> None:
    assert causes(life(437), life(437, at_s=500)) == [Cut.DROPPED] * 2


def test_alike_lives_among_many_that_differ_may_be_chance() -> None:
    others = [life(11 + 7.3 * n, at_s=1000 * n) for n in range(12)]
    alike = [life(437, at_s=500 * n + 20_000) for n in range(3)]
    assert Cut.AGE_LIMIT not in causes(*others, *alike)


def test_many_cut_at_one_moment_at_different_ages_show_a_restart() -> None:
    """A crash sends no 1012. That one of them is 300 s old is chance."""
    found = told([life(400 - begun, at_s=begun, number=n) for n, begun in enumerate((0, 37, 100))])
    assert {each.cut for each in found} == {Cut.RESTART}
    assert found[0].together == 3


def test_a_few_of_many_residents_cut_at_one_moment_are_no_restart() -> None:
    few = [life(417 - begun, at_s=begun, number=n) for n, begun in enumerate((0, 37, 100))]
    others = [life(500, ending=Ending.LIVING, number=n) for n in range(3, 10)]
    assert set(causes(*few, *others)) == {Cut.DROPPED}


def test_many_begun_and_cut_together_at_a_usual_age_show_its_limit() -> None:
    assert set(causes(*[life(300, number=n) for n in range(5)])) == {Cut.AGE_LIMIT}


def test_many_begun_and_cut_together_at_no_usual_age_show_a_restart() -> None:
    assert set(causes(*[life(437, number=n) for n in range(5)])) == {Cut.RESTART}


def test_a_silence_that_nobody_outlives_shows_an_idle_limit() -> None:
    lives = [life(100 + 50 * n, at_s=1000 * n, idle_s=42.0, patience_s=20.0) for n in range(3)]
    found = told(lives)
    assert {(each.cut, each.limit_us) for each in found} == {(Cut.IDLE_LIMIT, 42 * S)}


def test_a_silence_that_another_life_outlived_is_not_why() -> None:
    lives = [life(100 + 50 * n, at_s=1000 * n, idle_s=42.0, patience_s=20.0) for n in range(3)]
    assert Cut.IDLE_LIMIT not in causes(*lives, life(1000, ending=Ending.PLANNED, patience_s=43.0))


def test_talking_at_a_steady_pace_makes_an_age_limit_no_idle_limit() -> None:
    """Cut at 300 s, always 9.9 s after the last message: but silences of 10 s were lived through."""
    assert set(causes(*[life(299.9, at_s=400 * n, idle_s=9.9) for n in range(3)])) == {Cut.AGE_LIMIT}


def test_a_usual_idle_timeout_shows_in_one_life() -> None:
    [found] = told([life(783, idle_s=60.05, patience_s=30.0)])
    assert (found.cut, found.limit_us) == (Cut.IDLE_LIMIT, 60 * S)


def test_a_living_connection_has_no_cause_yet() -> None:
    assert told([life(10, ending=Ending.LIVING)]) == []


def test_every_charged_cause_says_what_to_check_next() -> None:
    assert {cut for cut in Cut if cut.charged} == set(NEXT_CHECK)
    assert all(cut.words for cut in Cut)


@given(
    st.lists(
        st.builds(
            life,
            st.floats(0, 100_000),
            at_s=st.floats(0, 100_000),
            ending=st.sampled_from(Ending),
            code=st.sampled_from([None, 1000, 1001, 1006, 1011, 1012, 4000]),
            idle_s=st.floats(0, 10_000),
            patience_s=st.floats(0, 10_000),
        ),
        max_size=40,
    )
)
def test_every_ended_life_has_one_cause_and_what_is_ours_is_never_charged(lives: list[Life]) -> None:
    found = told(lives)
    assert [each.life for each in found] == [each for each in lives if each.ending is not Ending.LIVING]
    for each in found:
        assert each.cut.charged == each.life.ending.cut
        assert (each.limit_us is not None) == (each.cut in (Cut.AGE_LIMIT, Cut.IDLE_LIMIT))


@given(
    st.builds(
        Life,
        target_id=st.integers(1, 2**31),
        number=st.integers(0, 499),
        started=st.datetimes(timezones=st.just(UTC)),
        ending=st.sampled_from(Ending),
        opened_us=st.none() | st.integers(0, 2**40),
        ended_us=st.integers(0, 2**40),
        close_code=st.none() | st.integers(1000, 4999),
        reason=st.text(max_size=123),
        strategy=st.text(max_size=40),
        flags_revision=st.none() | st.integers(0, 10_000),
    )
)
def test_a_life_survives_its_message(written: Life) -> None:
    assert Life.from_message(written.to_message()) == written


def test_an_end_is_final_and_a_later_report_of_a_living_one_takes_the_earliers_place() -> None:
    first, later = life(1, ending=Ending.LIVING), life(2, ending=Ending.LIVING)
    end = life(1.5)
    assert later.supersedes(first)
    assert not first.supersedes(later)
    assert end.supersedes(later)
    assert not later.supersedes(end)
    assert not end.supersedes(end)
