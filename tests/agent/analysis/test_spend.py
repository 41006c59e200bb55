"""Spend is counted while it is seen; the forecast has what follows, and how sure that is."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis import spend
from agent.analysis.spend import Spend

HOUR = 3600.0
EUR = "EUR"
JUNE = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
"""A month of 30 days."""


def _run(counted: Spend, begin: float, end: float, rate: float, *, step: float = 60.0) -> None:
    """Have a rate seen from one time to another."""
    count = round((end - begin) / step)
    for number in range(count + 1):
        counted.observe(begin + number * step, rate, currency=EUR)


def test_a_rate_that_stays_is_certain():
    """2 an hour from the first of June on: half of the month is spent, and the rest will be."""
    counted = Spend()
    _run(counted, JUNE, JUNE + 15 * 24 * HOUR, 2.0, step=100.0)
    assert counted.rate == 2.0
    assert counted.month == pytest.approx(2.0 * 15 * 24)
    found = counted.forecast()
    assert found is not None
    assert found == pytest.approx((1440.0, 1440.0, 1440.0), rel=1e-6)


def test_a_day_and_a_month_begin_at_midnight():
    """What was spent before midnight is of yesterday, and before the first of last month."""
    counted = Spend()
    _run(counted, JUNE - 2 * HOUR, JUNE + 3 * HOUR, 1.0)
    assert counted.today == pytest.approx(3.0)
    assert counted.month == pytest.approx(3.0)


@pytest.mark.parametrize("wrong", [JUNE + 40 * 24 * HOUR, JUNE - 9000 * 24 * HOUR, JUNE - HOUR])
@pytest.mark.parametrize("looks", [1, 30])
def test_a_wrong_clock_costs_no_month(wrong: float, looks: int):
    """What was counted of the month and the day is there again when the clock is right again."""
    counted = Spend()
    _run(counted, JUNE, JUNE + 30 * HOUR, 1.0)
    before = counted.state()
    for look in range(looks):
        counted.observe(wrong + look, 1.0, currency=EUR)
    counted.observe(JUNE + 30 * HOUR + 5, 1.0, currency=EUR)
    assert counted.month == pytest.approx(30.0)
    assert counted.today == pytest.approx(6.0)
    assert counted.state()["month"] == before["month"]
    again = Spend()
    again.restore(counted.state())
    again.observe(wrong, 1.0, currency=EUR)
    again.observe(JUNE + 30 * HOUR + 10, 1.0, currency=EUR)
    assert again.month == pytest.approx(30.0)


def test_what_is_said_while_the_clock_is_wrong_is_of_that_time():
    """Between two looks of another month no sum of this one is told, nor a forecast from it."""
    counted = Spend()
    _run(counted, JUNE, JUNE + 30 * HOUR, 1.0)
    counted.observe(JUNE + 40 * 24 * HOUR, 1.0, currency=EUR)
    assert (counted.month, counted.today) == (0.0, 0.0)


def test_a_clock_that_was_wrong_at_the_start_is_not_a_month_that_was_seen():
    """A few seconds of 1970 before the clock is set say nothing of the beginning of this month."""
    counted = Spend()
    _run(counted, 1000.0, 1020.0, 1.0, step=5.0)
    _run(counted, JUNE + 15 * 24 * HOUR, JUNE + 15 * 24 * HOUR + 2 * HOUR, 1.0)
    found = counted.forecast()
    assert found is not None
    assert found.estimate == pytest.approx(360.0, rel=1e-2)


def test_the_usual_rate_is_that_of_seven_days():
    """The eighth day back has no part in it."""
    counted = Spend()
    _run(counted, JUNE, JUNE + 24 * HOUR - 60, 1000.0)
    _run(counted, JUNE + 24 * HOUR, JUNE + 8 * 24 * HOUR - 60, 1.0)
    assert len(counted.state()["days"]) == 7
    found = counted.forecast()
    assert found is not None
    assert found.estimate == pytest.approx(1000.0 * 24 + 29 * 24, rel=1e-2)


def test_another_currency_begins_anew():
    """Euros that were counted are no dollars, before and after a restart."""
    counted = Spend()
    _run(counted, JUNE, JUNE + HOUR, 1.0)
    again = Spend()
    again.restore(counted.state())
    for one in (counted, again):
        one.observe(JUNE + HOUR + 5, 1.1, currency="USD")
        assert (one.month, one.today) == (0.0, 0.0)
        assert len(one.state()["days"]) == 1


def test_what_an_older_version_kept_is_of_the_currency_that_is():
    """A state that does not name its currency is taken over."""
    counted = Spend()
    _run(counted, JUNE, JUNE + HOUR, 1.0)
    state = counted.state()
    old = {"month": state["month"], "days": state["days"]}
    again = Spend()
    again.restore(old)
    again.observe(JUNE + HOUR + 5, 1.0, currency="USD")
    assert again.month == pytest.approx(1.0)


def test_what_nobody_saw_is_in_the_forecast_and_not_in_what_was_counted():
    """Hours in which the agent was off count at the mean rate; the low bound is without them."""
    counted = Spend()
    _run(counted, JUNE, JUNE + 24 * HOUR, 1.0)
    again = Spend()
    again.restore(counted.state())
    _run(again, JUNE + 48 * HOUR, JUNE + 72 * HOUR, 1.0)
    assert again.month == pytest.approx(48.0, rel=1e-2)
    found = again.forecast()
    assert found is not None
    assert found.estimate == pytest.approx(720.0, rel=1e-2)
    assert found.low == pytest.approx(720.0 - 24.0, rel=1e-2)


def test_before_the_first_look_nobody_knows():
    """An agent that came in the middle of the month has what was before in the high bound alone."""
    counted = Spend()
    _run(counted, JUNE + 15 * 24 * HOUR, JUNE + 15 * 24 * HOUR + 2 * HOUR, 1.0)
    found = counted.forecast()
    assert found is not None
    assert found.estimate == pytest.approx(360.0, rel=1e-2)
    assert found.high == pytest.approx(720.0, rel=1e-2)


def test_rates_that_vary_from_day_to_day_widen_the_interval():
    """Days of 1 and 3 an hour in turns: the interval is wide, and holds both halves' truth."""
    counted = Spend()
    for day in range(6):
        begin = JUNE + day * 24 * HOUR
        _run(counted, begin, begin + 24 * HOUR - 60, 1.0 + 2.0 * (day % 2))
    found = counted.forecast()
    assert found is not None
    assert found.low < 1440.0 * 0.95 < 1440.0 * 1.05 < found.high
    assert found.estimate == pytest.approx(1440.0, rel=0.05)


def test_an_unknown_rate_is_told_as_such():
    """While the price of a GPU is not known nothing is said, and what was counted stays."""
    counted = Spend()
    _run(counted, JUNE, JUNE + HOUR, 1.0)
    counted.observe(JUNE + HOUR + 60, None, currency=EUR)
    assert (counted.rate, counted.month, counted.forecast()) == (None, None, None)
    counted.observe(JUNE + HOUR + 120, 1.0, currency=EUR)
    assert counted.month == pytest.approx(1.0)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(-HOUR, 30 * HOUR), st.floats(0.1, 100.0)), max_size=30))
def test_clocks_may_do_what_they_like(looks: list[tuple[float, float]]):
    """Whatever the clock does, bounds are in order and what was counted comes back by its state."""
    counted, time = Spend(), JUNE + 10 * 24 * HOUR
    for step, rate in looks:
        time += step
        counted.observe(time, rate, currency=EUR)
    found = counted.forecast()
    if found is not None:
        assert found.low <= found.estimate * (1 + 1e-9) <= found.high * (1 + 1e-9)
    again = Spend()
    again.restore(counted.state())
    assert again.state() == counted.state()


@pytest.mark.parametrize(
    "broken", [{}, {"month": {"name": 1}, "days": []}, {"month": 3, "days": 1}]
)
def test_a_broken_state_is_refused(broken: dict[str, object]):
    """What is no state raises one of the documented errors, and changes nothing."""
    counted = Spend()
    with pytest.raises((KeyError, TypeError, ValueError)):
        counted.restore(broken)
    assert counted.state() == Spend().state()


def test_what_is_said():
    """Rate, today, month, forecast and budget are samples with their currency, and JSON."""
    counted = Spend()
    _run(counted, JUNE, JUNE + HOUR, 2.0)
    said = {
        (metric.name, *labels): value
        for metric, labels, value in spend.samples(counted, "EUR", 900.0)
    }
    assert said["inferwatch_spend_per_hour", "EUR"] == 2.0
    assert said["inferwatch_spend_month_budget", "EUR"] == 900.0
    assert said["inferwatch_spend_month_forecast", "EUR", "estimate"] == pytest.approx(1440.0, 0.01)
    assert spend.as_json(counted, "EUR", None)["spend_per_day"] == 48.0
