"""Time is cut into weeks that begin on Monday, UTC."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.demand.week import BUCKET, SLOTS, bucket_of, place_of, week_begin, week_of


@given(st.integers(0, 10**10))
def test_places_are_those_of_the_calendar(second: int):
    """A moment has the place in the week that the calendar gives its weekday, hour and minute."""
    moment = datetime.fromtimestamp(second, UTC)
    bucket = bucket_of(float(second))
    slot = (moment.hour * 60 + moment.minute) // 5
    assert place_of(bucket) == moment.weekday() * SLOTS + slot
    assert bucket == week_begin(week_of(bucket)) + place_of(bucket)
    assert bucket * BUCKET <= second < (bucket + 1) * BUCKET
