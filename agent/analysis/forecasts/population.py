"""The requests in an engine by how far they have come, and what becomes of them.

Time is counted in tokens: all requests of a batch advance by one token a step, so that a request of
age x holds its prompt and x tokens, and ends by the survival function of the lengths, however fast
the steps are. What runs now leaves by that function; what comes stays by it. A steady load is a
level, not a trend (the M/G/infinity queue, each request weighted by what it holds).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.analysis.forecasts.lengths import BINS, Lengths
from agent.analysis.forecasts.page import Pages
from agent.analysis.window import Column

_RECENT: Final = 90.0
_PROMPTS: Final = 40.0
_BIN_ROWS: Final = 5
_VARIATION: Final = 0.2
_STEEPEST: Final = 0.8
_LEAST: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Expectations by seconds from now, on an even grid; KV in tokens, before any sharing.

    Attributes:
        times: seconds, shape (BINS + 1,).
        staying: requests of now that still run.
        kept: tokens that they hold.
        kept_variance: of that.
        stay: share of those that began then that still run: `stay[k]` at age `times[k]`.
        room: tokens of one that began so long ago, if it still runs or not.
        room_square: expected square of that.
        each_newcomer: mean tokens of one that runs, of those that began one after the other since.
        held_variance: of the tokens that any one of a steady load holds.
        prompt: mean prompt of those that come.
        lifetime: mean seconds from first token to last.
        pace: tokens a second of one request.
        slowing: by how much the time of a token grows with one request more, as a share.
        pace_error: standard error of the pace, as a share.
    """

    times: Column
    staying: Column
    kept: Column
    kept_variance: Column
    stay: Column
    room: Column
    room_square: Column
    each_newcomer: Column
    held_variance: float
    prompt: float
    lifetime: float
    pace: float
    slowing: float
    pace_error: float


def population(pages: Pages, lengths: Lengths, *, spread: float) -> Population | None:
    """Return who is in an engine.

    Args:
        pages: what is known of it.
        lengths: how long requests generate.
        spread: variance of the prompt lengths, as a share of their mean's square.

    Returns:
        None for an engine that does nothing.
    """
    gaps = np.diff(pages.times)
    batch = 0.5 * (pages.running[1:] + pages.running[:-1])
    tokens = np.diff(pages.generated)
    begun = np.diff(pages.started)
    prompts = np.diff(pages.prompt)
    recent = int(np.searchsorted(pages.times, pages.times[-1] - _RECENT - _LEAST))
    speed = token_time(batch, gaps, tokens, newest=len(gaps) - recent)
    if speed is None or begun.sum() <= 0:
        return None
    pace = 1.0 / speed.seconds
    passed = tokens / np.maximum(batch, 1.0)
    clock = np.cumsum(passed)
    survival, step = lengths.survival, lengths.step
    # Those of one row began all through it.
    bins = ((clock[-1] - clock + 0.5 * passed) / step).astype(np.intp)
    inside = bins < BINS
    entered: Column = np.bincount(bins[inside], weights=begun[inside], minlength=BINS).astype(float)
    brought: Column = np.bincount(bins[inside], weights=prompts[inside], minlength=BINS).astype(
        float
    )
    mean_prompt = float(prompts.sum() / begun.sum())
    newest = int(np.searchsorted(pages.times, pages.times[-1] - _PROMPTS))
    late = float(begun[newest:].sum())
    # Eight requests of the usual kind beside those of the last seconds.
    new_prompt = float((prompts[newest:].sum() + 8.0 * mean_prompt) / (late + 8.0))
    oldest = int(clock[-1] / step) + 1
    if oldest < BINS:
        # Of those that ran when the window began the ages are unknown: as in a steady load.
        each = float(pages.running[0]) / float(survival.sum())
        entered[oldest:] += each
        brought[oldest:] += each * mean_prompt
    ages = np.arange(BINS) * step
    held = mean_prompt + ages
    none = np.zeros(BINS)

    def later(kind: Column, who: Column) -> Column:
        found: Column = np.correlate(np.concatenate((kind, none)), who, "valid")
        return found

    firm = np.maximum(survival, _LEAST)
    total = survival * held * held
    kept_variance = later(total, entered) - later(survival * total, entered / firm)
    last = np.append(survival, 0.0)
    ages_too = np.append(ages, BINS * step)
    room = new_prompt + ages_too
    room_square = last * (room * room + spread * new_prompt * new_prompt)
    alive = float(last.sum())
    usual = float((last * room).sum()) / alive
    return Population(
        times=ages_too / pace,
        staying=later(survival, entered),
        kept=later(survival * ages, entered) + later(survival, brought),
        kept_variance=np.maximum(kept_variance, 0.0),
        stay=last,
        room=last * room,
        room_square=room_square,
        each_newcomer=np.cumsum(last * room) / np.cumsum(last),
        held_variance=max(float(room_square.sum() / alive) - usual * usual, 0.0),
        prompt=new_prompt,
        lifetime=lengths.mean / pace,
        pace=pace,
        slowing=speed.slowing,
        pace_error=speed.error,
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a token of a request takes.

    Attributes:
        seconds: for one token in the batch of now.
        error: its standard error, as a share.
        slowing: by how much it grows with one request more, as a share.
    """

    seconds: float
    error: float
    slowing: float


def token_time(batch: Column, gaps: Column, tokens: Column, *, newest: int) -> Pace | None:
    """Return the line through time of a token over batch, at the batch of now.

    Bins of some seconds, weighted by their tokens, for the prefills of a few requests lengthen the
    tokens of a moment. The slope is from all rows, drawn towards flat as long as the batch has
    hardly varied; the height is from the newest.

    Args:
        batch: running requests between the rows, shape (rows,).
        gaps: seconds between them.
        tokens: generated between them.
        newest: how many rows the height is taken from.

    Returns:
        None where nothing was generated.
    """
    edges = np.arange(len(gaps) % _BIN_ROWS, len(gaps), _BIN_ROWS)
    if not len(edges):
        return None
    made = np.add.reduceat(tokens, edges)
    spent = np.add.reduceat(batch * gaps, edges)
    size = spent / np.add.reduceat(gaps, edges)
    good = (made > 0) & (spent > 0)
    if not good.any():
        return None
    weight, size, each = made[good], size[good], spent[good] / made[good]
    whole = weight.sum()
    usual = float((weight * each).sum() / whole)
    middle = float((weight * size).sum() / whole)
    apart = size - middle
    varied = float((weight * apart * apart).sum() / whole)
    along = float((weight * apart * (each - usual)).sum() / whole)
    # A token never costs less for company, nor more than in proportion to the batch.
    most = usual / max(middle, 1.0)
    slope = min(max(along / (varied + (_VARIATION * middle) ** 2), 0.0), most)
    late = slice(-max(newest // _BIN_ROWS, 1), None)
    heavy = weight[late] / weight[late].sum()
    here = float(batch[-1])
    each = each[late] + slope * (here - size[late])
    now = float((heavy * each).sum())
    now = min(max(now, 0.3 * usual), 3.0 * usual)
    off = each - now
    scatter = float((heavy * off * off).sum()) ** 0.5
    error = 1.5 * scatter / now / max(len(each) - 2.0, 1.0) ** 0.5
    return Pace(now, min(max(error, 0.02), 0.5), min(slope / now, _STEEPEST / max(here, 1.0)))
