"""Happy eyeballs, as a rule: any addresses, any failures, any clock."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from probes.engine.eyeballs import ATTEMPT_DELAY_S, Race, interleave

ADDRESSES = st.lists(
    st.one_of(st.integers(1, 99).map("10.0.0.{}".format), st.integers(1, 99).map("2001:db8::{}".format)), max_size=12
)


def begun(addresses: list[str], failures: dict[str, float]) -> list[tuple[float, str]]:
    """When each attempt begins, where some fail so many seconds after their begin and the others never answer."""
    race, now = Race(addresses), 0.0
    starts: list[tuple[float, str]] = []
    ends: list[tuple[float, str]] = []
    while True:
        while (address := race.due(now)) is not None:
            starts.append((now, address))
            if address in failures:
                ends.append((now + failures[address], address))
                ends.sort()
        instants = [each for each in (race.next_at, ends[0][0] if ends else None) if each is not None]
        if not instants:
            assert race.lost == (len(failures) == len(addresses))
            return starts
        now = max(now, min(instants))
        while ends and ends[0][0] <= now:
            race.failed(ends.pop(0)[1], now)


@given(ADDRESSES)
def test_families_alternate_and_nothing_is_lost(addresses: list[str]) -> None:
    """RFC 8305 section 4: as long as both families have addresses left, neighbours differ; each address comes once."""
    order = interleave(addresses)
    assert sorted(order) == sorted(set(addresses))
    assert order[:1] == tuple(addresses[:1])
    sixes = [":" in address for address in order]
    alternating = 2 * min(sum(sixes), len(sixes) - sum(sixes))
    assert all(sixes[i] != sixes[i + 1] for i in range(alternating - 1))
    for six in (True, False):  # inside a family the resolver's preference stands
        ours = [address for address in dict.fromkeys(addresses) if (":" in address) is six]
        assert [address for address in order if (":" in address) is six] == ours


@given(ADDRESSES.map(interleave), st.data())
def test_attempts_begin_in_order_each_once_and_never_before_their_time(
    addresses: tuple[str, ...], data: st.DataObject
) -> None:
    """Section 5: 250 ms after the one before, or the instant at which an attempt failed, never earlier or later."""
    failing = data.draw(st.dictionaries(st.sampled_from(addresses), st.floats(0, 1))) if addresses else {}
    starts = begun(list(addresses), failing)
    assert [address for _, address in starts] == list(addresses)
    fails = {at + failing[address] for at, address in starts if address in failing}
    for (before, _), (at, _address) in pairwise(starts):
        assert at == before + ATTEMPT_DELAY_S or (at in fails and before <= at < before + ATTEMPT_DELAY_S)
        assert not any(before < fail < at for fail in fails)


@given(ADDRESSES.map(interleave).filter(bool))
def test_the_race_is_lost_only_when_every_attempt_has_failed(addresses: tuple[str, ...]) -> None:
    """And asking twice for the same instant begins nothing twice."""
    race = Race(addresses)
    for now, address in enumerate(addresses):
        assert race.due(float(now)) == address
        assert race.due(float(now)) is None
        assert not race.lost
        race.failed(address, float(now))
    assert race.lost
    assert race.next_at is None
