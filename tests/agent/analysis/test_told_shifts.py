"""Shifts that were told: each once, and not for ever."""

from agent.analysis.shifts import Shift
from agent.analysis.told_shifts import KEPT_FOR, MOST, ToldShifts


def shift(began: float, after: float, quantity: str = "time_to_first_token") -> Shift:
    """Return a shift of a latency."""
    return Shift(quantity, began, 0.1, after, ())


def test_a_shift_is_told_once() -> None:
    """It is found again and again while it is within the window, with other digits each time."""
    told = ToldShifts()
    assert told.take(1060.0, shift(1000.0, 1.0))
    assert not told.take(1075.0, shift(1010.0, 1.2))
    assert not told.take(1300.0, shift(990.0, 0.9))
    assert [one.began for one in told] == [1000.0]


def test_another_level_or_quantity_is_another_shift() -> None:
    """What goes up and comes back within the window is told both times, oldest first."""
    told = ToldShifts()
    assert told.take(1060.0, shift(1000.0, 1.0))
    assert told.take(1120.0, shift(1100.0, 0.1))
    assert told.take(1180.0, shift(1160.0, 1.0))
    assert told.take(1180.0, shift(1160.0, 1.0, "inter_token_latency"))
    assert [one.began for one in told] == [1000.0, 1100.0, 1160.0, 1160.0]


def test_the_same_shift_an_hour_later_is_news() -> None:
    """The latency came back slowly, which is no shift, and goes up again to where it was."""
    told = ToldShifts()
    assert told.take(1060.0, shift(1000.0, 1.0))
    assert told.take(4660.0, shift(4600.0, 1.0))


def test_what_is_a_day_old_is_forgotten() -> None:
    """Also where nothing has shifted since."""
    told = ToldShifts()
    told.take(1060.0, shift(1000.0, 1.0))
    told.forget(1000.0 + KEPT_FOR)
    assert [*told]
    told.forget(1001.0 + KEPT_FOR)
    assert not [*told]


def test_a_clock_that_is_set_back_hides_no_shift() -> None:
    """What was told in a future that may never come is neither kept for ever nor taken for now."""
    told = ToldShifts()
    told.take(1e6, shift(1e6 - 60.0, 1.0))
    assert told.take(1060.0, shift(1000.0, 1.0))
    told.forget(1060.0)
    assert [one.began for one in told] == [1000.0]


def test_their_number_is_bounded() -> None:
    """An engine whose latency swings all day costs no memory; the newest stay."""
    told = ToldShifts()
    for at in range(0, 6000, 60):
        assert told.take(at + 30.0, shift(float(at), 1.0 + at % 120))
    assert [one.began for one in told] == [float(6000 - 60 * left) for left in range(MOST, 0, -1)]
