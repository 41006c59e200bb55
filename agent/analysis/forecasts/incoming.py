"""What comes into an engine: how many requests, and what they hold, on each path.

The rate is a line with an error. It lasts for a while that is long in proportion to the time for
which it was seen (half of what was seen for S seconds lasts another S, as is so of anything whose
end comes at no particular time), and then gives way to another.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.forecasts.arrivals import LINES, Arrivals
from agent.analysis.forecasts.passage import normal, shuffled, stratified
from agent.analysis.forecasts.population import Population
from agent.analysis.window import Column

_LONGEST: Final = 300.0
_OVERLOADED: Final = 1e-3
_LEVEL: Final = normal(stratified(2))
_SLOPE: Final = normal(stratified(3))
_PACE: Final = normal(stratified(7))[:, None]
_OTHER: Final = np.exp(0.4 * normal(stratified(10)))[:, None]
_LINE: Final = (stratified(9) * LINES).astype(np.intp)
_LASTS: Final = LINES / (shuffled(LINES, salt=12) + 0.5) - 1.0


@dataclass(frozen=True, slots=True)
class Incoming:
    """Of each path at each time, shape (paths, times).

    Attributes:
        tokens: held by those that came since now and still run.
        requests: those.
        variance: of the tokens about that, shape (times,).
    """

    tokens: Column
    requests: Column
    variance: Column


def incoming(
    who: Population, line: Arrivals, times: Column, *, fresh: float, staying: Column, running: float
) -> Incoming:
    """Return what comes.

    Args:
        who: how requests behave.
        line: how many come.
        times: seconds from now.
        fresh: requests that begin now.
        staying: requests of now that still run then, shape (times,).
        running: requests that run now.
    """
    lasts = np.minimum(line.span * _LASTS, _LONGEST)
    begun = line.slope[_LINE] + line.slope_error[_LINE] * _SLOPE
    now = np.maximum(
        line.middle[_LINE] + line.middle_error[_LINE] * _LEVEL + begun * 0.5 * line.span[_LINE],
        0.0,
    )
    slope = np.maximum(begun, -now / lasts[_LINE])[:, None]
    then = now[:, None] + slope * lasts[_LINE][:, None]
    usual = line.usual[_LINE][:, None]
    other = np.where(np.isnan(usual), then, usual) * _OTHER - then
    step = float(who.times[1])

    def come(parts: tuple[Column, Column, Column], begun: Column) -> Column:
        rate, rise, change = parts
        found: Column = np.outer(now, rate) + slope * rise[_LINE]
        found += other * change[_LINE] + fresh * begun
        return found

    requests = come(
        _response(who.stay, who.times, step, times, lasts), np.interp(times, who.times, who.stay)
    )
    tokens = come(
        _response(who.room, who.times, step, times, lasts), np.interp(times, who.times, who.room)
    )
    after = np.maximum(times - lasts[:, None], 0.0)
    risen = 0.5 * (times * times - after * after)
    arrived = come((times, risen, after), np.ones(len(times)))
    slower = np.exp(who.pace_error * _PACE)
    tokens *= _slowed(requests * slower, staying, arrived, who, running) * slower
    square = np.interp(times, who.times, _running(who.room_square, step))
    return Incoming(tokens, requests, line.dispersion * line.rate * square)


def _running(values: Column, step: float) -> Column:
    """Return the integral from the beginning, by the trapezoidal rule."""
    inner = np.cumsum(0.5 * step * (values[1:] + values[:-1]))
    return np.concatenate(([0.0], inner))


def _response(
    kernel: Column, ages: Column, step: float, times: Column, lasts: Column
) -> tuple[Column, Column, Column]:
    """Return what arrivals of one a second add up to, and arrivals that rise by one each second.

    The rise ends after `lasts` seconds, one row each.
    """
    level = _running(kernel, step)
    moment = _running(kernel * ages, step)

    def rising(at: Column) -> Column:
        return at * np.interp(at, ages, level) - np.interp(at, ages, moment)

    after = np.maximum(times - lasts[:, None], 0.0)
    later = np.interp(after, ages, level)
    return np.interp(times, ages, level), rising(times) - rising(after), later


def _slowed(
    newcomers: Column, stay: Column, arrived: Column, who: Population, running: float
) -> Column:
    """Return by how much more newcomers there are because a larger batch takes longer steps.

    With token time proportional to 1 + c (N - N0) the number in the engine solves a linear
    equation (Little's law); where it has no solution the engine is overloaded and keeps all.
    """
    slowing = who.slowing
    rest = 1.0 - newcomers * slowing
    whole = (stay + newcomers * (1.0 - slowing * running)) / np.maximum(rest, _OVERLOADED)
    factor = np.maximum(1.0 + slowing * (whole - running), 0.3)
    return np.minimum(factor, arrived / np.maximum(newcomers, 1e-9))
