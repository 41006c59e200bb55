"""The token bucket: so many in a time, and no more."""

from hypothesis import given
from hypothesis import strategies as st

from exporters.access.rate import Bucket
from tests.fakes.clock import ManualClock


def test_a_burst_and_then_one_each_interval():
    """A quiet endpoint lets a burst pass, and then one request each interval."""
    clock = ManualClock()
    bucket = Bucket(interval=1.0, burst=3, clock=clock)
    assert [bucket.take() for _ in range(5)] == [True, True, True, False, False]
    clock.advance(0.5)
    assert not bucket.take()
    clock.advance(0.5)
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_no_interval_is_no_limit():
    """An interval of 0 turns the limit off, whatever the burst."""
    bucket = Bucket(interval=0.0, burst=0, clock=ManualClock())
    assert all(bucket.take() for _ in range(100))


@given(
    st.floats(0.01, 10.0),
    st.integers(1, 20),
    st.lists(st.floats(0.0, 30.0), max_size=60),
)
def test_never_more_than_the_rate_and_a_burst(interval: float, burst: int, waits: list[float]):
    """In any span of time at most its length over the interval pass, and the burst."""
    clock = ManualClock(monotonic=0.0)
    bucket = Bucket(interval=interval, burst=burst, clock=clock)
    passed = 0
    for wait in waits:
        clock.advance(wait)
        passed += bucket.take()
        assert passed <= clock.monotonic() / interval + burst + 1e-6
