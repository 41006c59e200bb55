"""How well demand is foreseen: minutes ahead against persistence, what is usual, when it runs out.

On demands of the shapes in `tests/simulator/demand.py`, each of some weeks of which the last days
are judged. `python -m evaluation.demand` prints the tables for seeds that nobody kept back.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final

import numpy as np

from agent.analysis.demand.forecaster import DemandForecaster
from agent.analysis.demand.week import BUCKET
from tests.simulator.demand import DAY, SHAPES, Load, Minutes, load

HORIZONS: Final = (5, 15, 60)
"""Minutes ahead."""

SEEDS: Final = 3
"""Runs of each shape."""

LEARNED: Final = 28
"""Days that are learned from, in means of five minutes, before one by the minute."""

JUDGED: Final = 2
"""Days of which every minute is judged."""

WATCHED: Final = 63
"""Days over which the band is held against every five minutes."""

LOOKED: Final = 42
"""Days after which it is asked when a capacity is reached."""

CAPACITIES: Final = (1.1, 1.25, 1.5)
"""Capacities, as multiples of the busiest hour of a usual week."""

_WHOLE: Final = 26 * 7  # days, of which all but the first say when it was reached
_OUTSIDE: Final = 3  # buckets in a row: the alert waits for ten minutes of means of five
_STEPPED: Final = frozenset({"step"})
_ENDS: Final = "growth"
_MORE: Final = 4  # times as many runs: the ends of one run are met or missed together


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """One shape at one horizon.

    Attributes:
        persistence: mean absolute error as a multiple of that of the newest minute.
        five: the same of that of the mean of the newest five minutes.
        best: what the expectation itself, which nobody knows, would have.
        inside: share of the minutes within the interval of 90 %.
    """

    persistence: float
    five: float
    best: float
    inside: float


def ahead(name: str, *, seed: int, weeks: bool = True) -> dict[int, Ahead]:
    """Return how well a demand was foreseen, by minutes ahead.

    Args:
        name: of its shape.
        seed: of its chance.
        weeks: whether weeks of it were known; without, a day by the minute is all there is.
    """
    days = LEARNED if weeks else 0
    run = load(name, seed=seed, days=LEARNED + 1 + JUDGED)
    run = Load(*(part[(LEARNED - days) * DAY :] for part in (run.times, run.tokens, run.rate)))
    forecaster = DemandForecaster()
    if weeks:
        windows, ends = _windows(run.tokens), run.times[4::5]
        many = days * DAY // 5
        forecaster.learn_windows(ends[:many].tolist(), windows[:many].tolist())
    begin, first = days * DAY, (days + 1) * DAY
    said = {minutes: np.full((3, len(run.tokens) + minutes), np.nan) for minutes in HORIZONS}
    for at, (time, value) in enumerate(
        zip(run.times[begin:].tolist(), run.tokens[begin:].tolist(), strict=True), start=begin
    ):
        forecaster.learn([time], [value])
        for minutes in HORIZONS:
            found = forecaster.forecast(time, 60.0 * minutes)
            if found is not None:
                said[minutes][:, at + minutes] = found
    return {minutes: _score(run, said[minutes], minutes, first) for minutes in HORIZONS}


def _score(run: Load, said: Minutes, minutes: int, first: int) -> Ahead:
    """Return how good forecasts were from a minute on."""
    value = run.tokens[first:]
    estimate, low, high = said[:, first : len(run.tokens)]
    off = float(np.abs(estimate - value).mean())
    five = np.convolve(run.tokens, np.full(5, 0.2))[: len(run.tokens)]
    newest, mean = (
        float(np.abs(line[first - minutes : -minutes] - value).mean())
        for line in (run.tokens, five)
    )
    return Ahead(
        persistence=off / newest,
        five=off / mean,
        best=float(np.abs(run.rate[first:] - value).mean()) / newest,
        inside=float(((low <= value) & (value <= high)).mean()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One run over many weeks.

    Attributes:
        alarms: times that demand was outside of the band for long enough.
        days: days over which there was a band.
        found: whether the change that was made was outside of it; None where none was.
        said: for each capacity of which an end was foreseen, low, estimate and high in days.
        came: as many: when the busiest hour was there.
        reached: ends that came within a year, foreseen or not.
    """

    alarms: int
    days: float
    found: bool | None
    said: Sequence[tuple[float, float, float]]
    came: Sequence[float]
    reached: int


def watched(name: str, *, seed: int) -> Watched:
    """Return what was usual of a demand, and when it was to reach a capacity."""
    run = load(name, seed=seed, days=WATCHED if name in _STEPPED else _WHOLE)
    windows = _windows(run.tokens)
    forecaster = DemandForecaster()
    alarms, outside, known = 0, 0, 0
    said: list[tuple[float, float, float]] = []
    came: list[float] = []
    reached = 0
    for at, (time, value) in enumerate(
        zip(run.times[4::5].tolist(), windows.tolist(), strict=True)
    ):
        if at == WATCHED * DAY // 5:
            break
        if at == LOOKED * DAY // 5 and name not in _STEPPED:
            said, came, reached = _ends(forecaster, run, LOOKED)
        usual = forecaster.band(time - BUCKET / 2)
        if usual is not None:
            known += 1
            outside = outside + 1 if not usual.low <= value <= usual.high else 0
            alarms += outside == _OUTSIDE
        forecaster.learn_windows([time], [value])
    return Watched(
        alarms=0 if name in _STEPPED else alarms,
        days=0.0 if name in _STEPPED else known / (DAY / 5),
        found=alarms > 0 if name in _STEPPED else None,
        said=said,
        came=came,
        reached=reached,
    )


def _ends(
    forecaster: DemandForecaster, run: Load, day: int
) -> tuple[list[tuple[float, float, float]], list[float], int]:
    """Return of some capacities when they were to be reached, when they were, and how many were."""
    hours = run.tokens[day * DAY :].reshape(-1, 60).mean(axis=1)
    growth = forecaster.growth()
    said: list[tuple[float, float, float]] = []
    came: list[float] = []
    reached = 0
    for share in CAPACITIES if growth is not None else ():
        capacity = share * (growth.peak if growth else inf)
        over = np.flatnonzero(hours >= capacity)
        then = (over[0] + 0.5) / 24.0 if len(over) else inf
        reached += len(over) > 0
        end = forecaster.days_until(capacity, capacity, capacity)
        if end is not None:
            said.append((end.low / 86_400.0, end.estimate / 86_400.0, end.high / 86_400.0))
            came.append(then)
    return said, came, reached


def _windows(tokens: Minutes) -> Minutes:
    """Return the means of five minutes."""
    means: Minutes = tokens.reshape(-1, 5).mean(axis=1)
    return means


def evaluate(*, first: int, seeds: int = SEEDS) -> tuple[str, Mapping[str, Any]]:
    """Return tables as Markdown, and the figures.

    Args:
        first: the first seed.
        seeds: how many runs of each shape.
    """
    numbers = range(first, first + seeds)
    long = {name: [ahead(name, seed=seed) for seed in numbers] for name in SHAPES}
    short = {name: [ahead(name, seed=seed, weeks=False) for seed in numbers] for name in SHAPES}
    seen = {
        name: [
            watched(name, seed=first + at) for at in range(seeds * (_MORE if name == _ENDS else 1))
        ]
        for name in SHAPES
    }
    text = "\n\n".join((_ahead_table(long, short), _usual_table(seen), _end_table(seen)))
    return text, {
        "demand_mae_vs_persistence": _by_shape(long, "persistence"),
        "demand_mae_vs_five_minutes": _by_shape(long, "five"),
        "demand_mae_vs_persistence_first_day": _by_shape(short, "persistence"),
        "demand_interval_coverage": _by_shape(long, "inside"),
        "demand_false_alarms_per_week": _alarms(seen.values()),
        "demand_exhaustion_coverage": _inside(seen[_ENDS]),
    }


def _by_shape(found: Mapping[str, list[dict[int, Ahead]]], what: str) -> dict[str, float]:
    """Return a mean over the runs of each shape, five minutes ahead."""
    return {name: _mean(runs, HORIZONS[0], what) for name, runs in found.items()}


def _mean(runs: Iterable[dict[int, Ahead]], minutes: int, what: str) -> float:
    """Return a mean over runs."""
    return float(np.mean([getattr(run[minutes], what) for run in runs]))


def _ahead_table(
    long: Mapping[str, list[dict[int, Ahead]]], short: Mapping[str, list[dict[int, Ahead]]]
) -> str:
    """Return the errors of the next minutes."""
    lines = [
        (
            f"Mean absolute error of a minute ahead, after {LEARNED} days in means of five minutes "
            "and one by the minute, as a share of that of persistence (the newest minute; in "
            "brackets: the mean of the newest five). *Best* is what the true expectation of each "
            "minute would have."
        ),
        "",
        (
            "| shape | 5 min | best | 15 min | best | 60 min | best | inside 90 % at 5, 15, 60 min "
            "| second day of all, 5 min |"
        ),
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in long.items():
        cells = [
            f"{_mean(runs, minutes, 'persistence'):.2f} ({_mean(runs, minutes, 'five'):.2f}) "
            f"| {_mean(runs, minutes, 'best'):.2f}"
            for minutes in HORIZONS
        ]
        inside = ", ".join(f"{_mean(runs, minutes, 'inside'):.0%}" for minutes in HORIZONS)
        early = _mean(short[name], HORIZONS[0], "persistence")
        lines.append(f"| {name} | {' | '.join(cells)} | {inside} | {early:.2f} |")
    return "\n".join(lines)


def _usual_table(seen: Mapping[str, list[Watched]]) -> str:
    """Return how often the usual was taken for unusual."""
    lines = [
        (
            "Demand outside of its usual band for more than ten minutes, of demands that do "
            "nothing unusual:"
        ),
        "",
        "| shape | days | alarms | a week |",
        "|---|--:|--:|--:|",
    ]
    for name, runs in seen.items():
        if name not in _STEPPED:
            days, alarms = sum(run.days for run in runs), sum(run.alarms for run in runs)
            lines.append(f"| {name} | {days:.0f} | {alarms} | {7.0 * alarms / days:.2f} |")
    changed = [run.found for name in _STEPPED for run in seen[name]]
    lines += ["", f"Of {len(changed)} steps to the 1.8-fold, {sum(map(bool, changed))} raised one."]
    return "\n".join(lines)


def _alarms(seen: Iterable[list[Watched]]) -> float:
    """Return the alarms a week of demands that do nothing unusual."""
    runs = [run for each in seen for run in each]
    return 7.0 * sum(run.alarms for run in runs) / sum(run.days for run in runs)


def _inside(runs: Sequence[Watched]) -> float:
    """Return the share of the ends foreseen that came within their interval."""
    pairs = [pair for run in runs for pair in zip(run.said, run.came, strict=True)]
    return float(np.mean([said[0] <= came <= said[2] for said, came in pairs])) if pairs else inf


def _end_table(seen: Mapping[str, list[Watched]]) -> str:
    """Return how well the end of a capacity was foreseen."""
    lines = [
        (
            f"When the busiest hour reaches {', '.join(f'{one:g}' for one in CAPACITIES)} times "
            f"that of a usual week, asked after {LOOKED} days, and looked at for "
            f"{_WHOLE - LOOKED} more:"
        ),
        "",
        "| shape | asked | reached | foreseen | inside | median error |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs in seen.items():
        if name in _STEPPED:
            continue
        pairs = [pair for run in runs for pair in zip(run.said, run.came, strict=True)]
        off = [abs(said[1] / came - 1.0) for said, came in pairs if isfinite(came)]
        inside = f"{_inside(runs):.0%}" if pairs else ""
        error = f"{np.median(off):.0%}" if off else ""
        lines.append(
            f"| {name} | {len(CAPACITIES) * len(runs)} | {sum(run.reached for run in runs)} "
            f"| {len(pairs)} | {inside} | {error} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.demand", description=__doc__)
    parser.add_argument("--first", type=int, default=9000, help="the first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each shape")
    given = parser.parse_args()
    text, figures = evaluate(first=given.first, seeds=given.seeds)
    sys.stdout.write(f"{text}\n\n{figures}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
