"""Work that stands still: for how long that is nothing, and when an engine moved again after it."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.analysis.window import Column
from agent.catalog import engine

STALLED: Final = 10.0
"""Seconds of work without progress that one step may take, far as it is above the usual one."""

STALLED_STEPS: Final = 5.0
"""Usual steps that are waited for besides."""

STALLED_LOOKS: Final = 3.0
"""Looks at its page without progress, where it is looked at rarely."""

STALLED_PAUSES: Final = 2.0
"""Pauses as long as it made lately, twice at least: its steps are so long, at this load."""

_USUAL_WEIGHT: Final = 0.2

WORK: Final = ((engine.REQUESTS_RUNNING, ""), (engine.REQUESTS_WAITING, ""))
PROGRESS: Final = (
    (engine.STEPS, ""),
    (engine.GENERATION_TOKENS, ""),
    (engine.PROMPT_TOKENS, ""),
)


def patience(step_time: float, pauses: Column, spacing: float) -> float:
    """Return the seconds of work without progress from which on an engine is stalled.

    Args:
        step_time: seconds a step usually takes; NaN where it is not known.
        pauses: seconds from one look that showed progress to the next, of the last minutes,
            ascending.
        spacing: seconds from one look at its page to the next.
    """
    usual = 0.0 if math.isnan(step_time) else step_time
    # The longest may be a stall that ended. Who did a thing twice may do it again.
    again = float(pauses[-2]) if len(pauses) > 1 else 0.0
    return max(STALLED + STALLED_STEPS * usual, STALLED_PAUSES * again, STALLED_LOOKS * spacing)


def learned_step(usual: float, seen: float, stuck_for: float) -> float:
    """Return the seconds that a step usually takes, after one more look.

    Follows slowly, and not at all while something may be stuck. A step that is waited for longer
    than is usual does not make it longer: it would stretch the patience that it is waited with.

    Args:
        usual: as known so far; NaN where it is not.
        seen: seconds a step of the last seconds; NaN where there was none.
        stuck_for: seconds of work without progress up to now.
    """
    if math.isnan(usual):
        return seen
    if math.isnan(seen) or stuck_for >= 2.0 * usual + 1.0 or (seen > usual and stuck_for > usual):
        return usual
    return usual + _USUAL_WEIGHT * (seen - usual)


def work_and_progress(rows: Column) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return at which rows there are requests, and at which a counter is higher than before.

    Args:
        rows: the columns of `WORK` and `PROGRESS` side by side.
    """
    progress = np.zeros(len(rows), dtype=np.bool_)
    counters = rows[:, len(WORK) :]
    progress[1:] = np.logical_or.reduce(counters[1:] > counters[:-1], axis=1)
    return (rows[:, 0] > 0) | (rows[:, 1] > 0), progress


def pauses_of(times: Column, work: NDArray[np.bool_], progress: NDArray[np.bool_]) -> Column:
    """Return the seconds from one row with progress to the next, where there was work between.

    Args:
        times: of the rows, Unix seconds.
        work: see `work_and_progress`.
        progress: likewise.

    Returns:
        Ascending.
    """
    moved = progress.nonzero()[0]
    then = times[moved]
    pauses: Column = then[1:] - then[:-1]
    if not np.logical_and.reduce(work):
        idle = (~work).cumsum()[moved]
        pauses = pauses[idle[1:] == idle[:-1]]
    pauses.sort()
    return pauses


def moved_again(
    times: Column, work: NDArray[np.bool_], progress: NDArray[np.bool_], longest: float
) -> float:
    """Return for how many seconds an engine has moved since it was last stalled.

    Whatever it counts in the step that ends a stall is of the stall: the first row of those seconds
    has it.

    Args:
        times: of all rows that are known, Unix seconds.
        work: of these, see `work_and_progress`.
        progress: likewise.
        longest: seconds of work without progress that are no stall.

    Returns:
        Infinity where it was not stalled, or still is.
    """
    moved = (~work | progress).nonzero()[0]
    if not len(moved):
        return math.inf
    then = times[moved]
    long = (then - np.concatenate((times[:1], then[:-1])) >= longest).nonzero()[0]
    ends = long[progress[moved[long]]] if len(long) else long
    return float(times[-1] - then[ends[-1]]) if len(ends) else math.inf
