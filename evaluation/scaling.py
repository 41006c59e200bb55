"""Autoscalers against one another, each in charge of the same simulated fleet on the same day.

One goes by the signals of the agent, which sees the pages of the replicas and nothing else; the
others by what is commonly used. All are asked every 15 seconds, replicas take three to five minutes
to start, and the router sends each request to the replica with the fewest.
"""

import argparse
import re
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Any, Final

from evaluation import bursty_days
from evaluation.bursty_days import LATER, bearable, fleet_of
from evaluation.scalers import EVERY, LEAN, PAGE_EVERY, Scaler, scalers

SEEDS: Final = 2
"""Days of each kind: how often requests surge, and after how long, differs much from day to day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day under one autoscaler came to.

    Attributes:
        within: share of the requests that met both targets.
        hours: of replicas that were paid for, those included that started or emptied.
        changes: how often the number of replicas was changed.
    """

    within: float
    hours: float
    changes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """What several days came to.

    Attributes:
        mean: of all of them.
        least: share within both targets on the worst.
    """

    mean: Day
    least: float


def day(make: Callable[[], Scaler], *, seed: int, shifts: bool = False) -> Day:
    """Return what a day came to; other arguments as for `traffic`."""
    fleet, scaler = fleet_of(seed, shifts=shifts), make()
    for second in range(bursty_days.DAY):
        fleet.step()
        scaler.second(fleet)
        if second % EVERY == EVERY - 1:
            fleet.scale(scaler.replicas(fleet))
    return Day(
        within=fleet.within_targets, hours=fleet.seconds / 3600.0, changes=float(fleet.changes)
    )


def days(first: int, seeds: int) -> Mapping[tuple[str, bool], Days]:
    """Return what the same days came to under each autoscaler, of each kind of day."""
    kinds = [(name, shifts) for name in scalers() for shifts in (False, True)]
    work = [(*kind, seed) for kind in kinds for seed in range(first, first + seeds)]
    with ProcessPoolExecutor(2) as pool:
        found = [*zip(work, pool.map(_one, work), strict=True)]
    return {kind: together([one for done, one in found if done[:2] == kind]) for kind in kinds}


def _one(work: tuple[str, bool, int]) -> Day:
    """Return what a day came to under an autoscaler."""
    name, shifts, seed = work
    return day(scalers()[name], seed=seed, shifts=shifts)


def together(runs: Sequence[Day]) -> Days:
    """Return what some days came to."""
    names = [one.name for one in fields(Day)]
    mean = Day(**{name: fmean(getattr(run, name) for run in runs) for name in names})
    return Days(mean=mean, least=min(run.within for run in runs))


def evaluate(*, first: int, seeds: int = SEEDS) -> tuple[str, Mapping[str, Any]]:
    """Return a table as Markdown, and the figures.

    Args:
        first: the first seed.
        seeds: how many days of each kind.
    """
    found = days(first, seeds)
    lines = [
        INTRO.format(
            tokens=bearable()[1],
            later=bearable(LATER)[1],
            hours=bursty_days.DAY // 3600,
            days=seeds,
            target=LEAN.target,
            surge=LEAN.surge_target or LEAN.target,
            after=LEAN.scale_in_after,
            pages=PAGE_EVERY,
        ),
        "",
        _HEAD,
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    figures: dict[str, Any] = {}
    for name in scalers():
        cells = []
        for shifts in (False, True):
            one, least = found[name, shifts].mean, found[name, shifts].least
            cells.append(f"{one.within:.2%} ({least:.1%}) | {one.hours:.1f} | {one.changes:.0f}")
            key = "_".join(re.findall("[a-z0-9]+", name.lower())) + shifts * "_shifted"
            figures.setdefault("scaling_within_targets", {})[key] = one.within
            figures.setdefault("scaling_within_targets_least", {})[key] = least
            figures.setdefault("scaling_replica_hours", {})[key] = one.hours
            figures.setdefault("scaling_changes", {})[key] = one.changes
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines), figures


_HEAD: Final = (
    "| scaled by | within both targets | replica hours | changes "
    "| where answers grow: within | hours | changes |"
)

INTRO: Final = """\
Days of bursty traffic ({days} of each kind; the mean, and in brackets the worst), each compressed
into {hours} hours, on replicas that take 3 to 5 minutes to start. A replica bears {tokens:.0f}
tokens a minute. On days of the second kind answers are twice as long from noon on; a replica then
bears {later:.0f}, and as many replicas' worth of requests come. The agent sees the pages of the
replicas (every {pages} s) and is told nothing. Throughput is scaled at 80 % of the {tokens:.0f}:
it is handed the true capacity, which the agent has to find out, as if these very requests had been
benchmarked, and keeps it when answers grow. *Lean* is the scaler with target {target:.0%}, in a
surge {surge:.0%}, no margin and {after:.0f} s before it scales in; the other has its defaults.
Queue length (5 a replica), KV cache (80 %), GPU utilisation (80 %) and throughput scale as HPA
does: 10 % tolerance, 5 minutes before they scale in."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.scaling", description=__doc__)
    parser.add_argument("--first", type=int, default=9000, help="the first seed")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="days")
    given = parser.parse_args()
    text, figures = evaluate(first=given.first, seeds=given.seeds)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    sys.stdout.write(f"{text}\n\n{figures}\n{spent.ru_utime + spent.ru_stime:.0f} s of CPU\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
