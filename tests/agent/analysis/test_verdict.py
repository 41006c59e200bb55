"""A verdict that lasts, and the regimes before it."""

from functools import partial

from agent.analysis.verdict import KEPT_FOR, REMEMBERED, Regime, Regimes
from agent.catalog.verdict import Cause


def fed(*findings: tuple[float, Cause]) -> tuple[Regimes, list[bool]]:
    """Return the regimes after findings, and at which of them the verdict changed."""
    regimes = Regimes()
    return regimes, [
        regimes.take(time, cause, partial(str, cause.value)) for time, cause in findings
    ]


def test_the_first_finding_is_the_verdict() -> None:
    """There is nothing to hold on to."""
    regimes, changes = fed((1.0, Cause.HEALTHY))
    assert changes == [True]
    assert regimes.cause is Cause.HEALTHY


def test_what_lasts_a_moment_changes_nothing() -> None:
    """Neither verdict nor regimes know of it."""
    regimes, changes = fed(
        (1.0, Cause.HEALTHY), (2.0, Cause.KV_MEMORY), (3.0, Cause.HEALTHY), (6.0, Cause.KV_MEMORY)
    )
    assert changes == [True, False, False, False]
    assert [regime.cause for regime in regimes.regimes()] == [Cause.HEALTHY]


def test_a_change_is_dated_to_when_it_was_first_found() -> None:
    """Believed after three seconds, true since their beginning."""
    regimes, changes = fed((1.0, Cause.HEALTHY), (5.0, Cause.KV_MEMORY), (8.0, Cause.KV_MEMORY))
    assert changes == [True, False, True]
    assert regimes.since == 5.0
    assert regimes.regimes() == [
        Regime(Cause.HEALTHY, 1.0, 5.0, "healthy"),
        Regime(Cause.KV_MEMORY, 5.0, None, "kv_memory"),
    ]


def test_what_took_its_time_to_be_found_is_believed_at_once() -> None:
    """A stall was watched for ten seconds already."""
    _regimes, changes = fed((1.0, Cause.HEALTHY), (5.0, Cause.STALLED), (6.0, Cause.IDLE))
    assert changes == [True, True, True]


def test_a_clock_that_is_set_back_keeps_no_verdict() -> None:
    """What was first found in a future that never comes is believed after three seconds anyway."""
    regimes, changes = fed(
        (5000.0, Cause.HEALTHY),
        (5001.0, Cause.KV_MEMORY),
        (1001.0, Cause.KV_MEMORY),
        (1005.0, Cause.KV_MEMORY),
    )
    assert changes == [True, False, False, True]
    assert regimes.since == 1001.0


def test_the_past_is_bounded() -> None:
    """An engine that changes all day costs no memory."""
    regimes, _changes = fed(
        *((float(at), Cause.IDLE if at % 2 else Cause.STALLED) for at in range(1000))
    )
    assert len(regimes.regimes()) == REMEMBERED + 1


def test_what_ended_a_day_ago_is_forgotten() -> None:
    """Also while the verdict stays; the present regime is kept whenever it began."""
    regimes, _changes = fed(
        (1.0, Cause.HEALTHY), (5.0, Cause.STALLED), (KEPT_FOR + 5.0, Cause.STALLED)
    )
    assert [regime.cause for regime in regimes.regimes()] == [Cause.HEALTHY, Cause.STALLED]
    regimes.take(KEPT_FOR + 6.0, Cause.STALLED, str)
    assert [regime.cause for regime in regimes.regimes()] == [Cause.STALLED]


def test_regimes_of_a_clock_that_was_set_back_are_forgotten() -> None:
    """What ended in a future that may never come does not stay for ever."""
    regimes, _changes = fed(
        (1e6, Cause.HEALTHY), (1e6 + 5.0, Cause.STALLED), (5.0, Cause.IDLE), (6.0, Cause.IDLE)
    )
    assert [regime.start for regime in regimes.regimes()] == [1e6 + 5.0, 5.0]
