"""Requests that come together at a time, which are no rate at which more will come."""

from typing import Final

import numpy as np

from agent.analysis.window import Column

_WIDTHS: Final = (2, 4, 8)
_AROUND: Final = 10
_PRICE: Final = 12.0
_MOST: Final = 3
_HALF: Final = 0.5


def lasting(counts: Column, *, noise: float) -> Column:
    """Return counts of which what came at a time is cut to what came around it.

    Many requests at a time run by now, and are counted there; what goes on is seen in the seconds
    after. Seconds next to each other hold such a clump where they have a higher rate than the ten
    before and the ten after, the log likelihood ratio of two Poisson counts being more than three
    numbers (when, for how long, how many) are worth. Of the seconds after that have not come yet it
    is taken that they will be as those before. Stretches of several lengths are looked at, wherever
    they begin (a scan statistic), for the first tokens of a clump take as long as its prompts do.

    Args:
        counts: requests in consecutive seconds, newest first.
        noise: variance of the counts against that of a Poisson process; at least 1 is taken.
    """
    many = len(counts)
    total = np.concatenate(([0.0], np.cumsum(counts)))
    share: Column | None = None
    for width in _WIDTHS:
        begin = np.arange(many - width - _AROUND + 1)
        end = begin + width
        found = total[end] - total[begin]
        later = np.minimum(begin, _AROUND)
        before = total[end + _AROUND] - total[end]
        after = total[begin] - total[begin - later] + before * (1.0 - later / _AROUND)
        # Half a request more, so that after nothing one is no clump.
        around = np.maximum(before, after) + _HALF
        usual = around * (width / _AROUND)
        often = np.maximum(found, usual)
        both = (often + around) / (width + _AROUND)
        proof = often * np.log(often / (width * both)) + around * np.log(around / (_AROUND * both))
        clumps = np.flatnonzero(2.0 * proof > _PRICE * max(noise, 1.0))
        for at in clumps[np.argsort(-proof[clumps], kind="stable")][:_MOST].tolist():
            share = np.ones(many) if share is None else share
            stretch = share[at : at + width]
            np.minimum(stretch, usual[at] / found[at], out=stretch)
    return counts if share is None else counts * share
