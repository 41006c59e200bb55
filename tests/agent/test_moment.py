"""Moments as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.moment import unix_seconds


@pytest.mark.parametrize(
    "text", ["1795249260", "2026-11-21T08:21Z", "2026-11-21T08:21", "2026-11-21 09:21+01:00"]
)
def test_seconds_and_dates_mean_the_same(text: str):
    """A date without a zone is UTC, as everything that the agent prints."""
    assert unix_seconds(text) == 1_795_249_260.0


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1795249260000", "1e300", "", "yesterday"])
def test_what_is_no_moment_is_refused(text: str):
    """Neither are milliseconds one, which stand in the addresses of Grafana and JavaScript."""
    with pytest.raises(ValueError):  # noqa: PT011 - the message is that of whoever asks
        unix_seconds(text)


@given(st.text() | st.floats().map(repr))
@example("0001-01-01T00:00+23:59")
@example("9999-12-31T23:59-23:59")
def test_whatever_is_taken_has_a_date(text: str):
    """No text gives an error of another kind, or a moment that could not be shown."""
    try:
        seconds = unix_seconds(text)
    except ValueError:
        return
    assert 1 <= datetime.fromtimestamp(seconds, UTC).year <= 9999
