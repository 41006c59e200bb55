"""Times and durations as Prometheus reads them."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from agent.queries.asked import NoAnswerError, Trouble
from exporters.prometheus_params import Parameters, duration, moment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1800000000.123", 1800000000.123),
        ("-5", -5.0),
        ("1.8e9", 1.8e9),
        (".5", 0.5),
        ("2027-01-15T08:00:00Z", 1800000000.0),
        ("2027-01-15t09:30:00.25+01:30", 1800000000.25),
        ("2027-01-15T08:00:00.123456789Z", 1800000000.123456),
        ("-292273086-05-16T16:47:06Z", -1e12),
        ("292277025-08-18T07:12:54.999999999Z", 1e12),
    ],
)
def test_times(text: str, seconds: float):
    """Unix seconds or RFC 3339, and the ends of time as Go's clients write them."""
    assert moment(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    ["now", "NaN", "inf", "1_000", " 1", "1e13", "1e999", "2027-01-15", "20270115T080000Z",
     "2027-13-15T08:00:00Z", "2027-01-15T08:00:00", "2027-02-30T08:00:00Z", "٣", "1" * 5000],
)  # fmt: skip
def test_what_is_no_time(text: str):
    """Nothing that Python would take and Prometheus would not."""
    assert moment(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15", 15.0), ("0.5", 0.5), ("1e1", 10.0), ("5m", 300.0), ("1h30m", 5400.0), ("1d", 86400.0),
     ("2w", 1209600.0), ("1y", 31536000.0), ("250ms", 0.25), ("0", 0.0), ("0s", 0.0), ("-1", -1.0)],
)  # fmt: skip
def test_durations(text: str, seconds: float):
    """Seconds, or whole numbers with units in falling order."""
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "1m1h", "1.5h", "5 m", "1ns", "-5m", "9" * 500 + "h"]
)
def test_what_is_no_duration(text: str):
    """But plain numbers."""
    assert (duration(text) is None) is (text != "5")


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001
def test_every_time_that_can_be_written_is_read(when: datetime):
    """To the microsecond."""
    when = when.replace(tzinfo=UTC)
    found = moment(when.isoformat())

    assert found is not None
    assert math.isclose(found, when.timestamp(), abs_tol=1e-4)


@given(st.text(max_size=30))
def test_no_text_breaks_anything(text: str):
    """It is a finite number or nothing."""
    for read in (moment, duration):
        found = read(text)
        assert found is None or math.isfinite(found)


def test_what_is_refused_names_the_parameter():
    """In Prometheus's words, cut where somebody sends a book."""
    given = Parameters(MultiDict({"time": 'x"' * 500, "start": "", "limit": "-1", "step": "y"}))

    for ask, words in (
        (lambda: given.moment("time"), "invalid parameter \"time\": invalid time value for 'time'"),
        (
            lambda: given.bound("start"),
            'invalid parameter "start": cannot parse "" to a valid time',
        ),
        (lambda: given.duration("step"), 'cannot parse "y" to a valid duration'),
        (lambda: given.count("limit"), 'invalid parameter "limit": limit must be a number'),
    ):
        with pytest.raises(NoAnswerError) as raised:
            ask()
        assert raised.value.trouble is Trouble.BAD_DATA
        assert words in str(raised.value)
        assert len(str(raised.value)) < 600
    assert (given.moment("end"), given.count("none"), given.duration_or("none", 7.0)) == (
        None,
        0,
        7,
    )
