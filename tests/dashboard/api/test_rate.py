"""How many requests a key may make."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard.api.rate import TokenBucket


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == 0.1
    assert bucket.take(0.2) == 0.0


def test_a_long_rest_saves_up_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=10, burst=3)
    bucket.take(0.0)
    assert [bucket.take(3600.0) == 0.0 for _ in range(5)] == [True, True, True, False, False]


@given(gaps=st.lists(st.floats(0, 2), max_size=100), rate=st.floats(0.5, 50), burst=st.floats(1, 20))
def test_never_more_than_the_burst_and_the_rate_together(gaps: list[float], rate: float, burst: float) -> None:
    bucket, now, passed = TokenBucket(rate, burst), 0.0, 0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        assert wait >= 0
        passed += wait == 0.0
    assert passed <= burst + rate * now + 1e-6
