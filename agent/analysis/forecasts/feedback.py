"""What a batch that slows itself down makes of chance.

A larger batch has longer steps, so requests stay longer, so the batch is larger. Where the batch
has grown by chance that carries it further, and it returns later: with requests that come at a rate
and stay for `L (1 + c (N - N0))` seconds, a departure of N from its level decays at the rate
`(1 - rho) / L`, with `rho = c N` the growth of the time of a token by that of the batch, relative
both. What brings new chance is the same as before, so the variance that it settles at is
`1 / (1 - rho)` of that without feedback (the linear noise approximation; for rho near 1, processor
sharing close to its limit).
"""

from typing import Final

import numpy as np

from agent.analysis.window import Column

_MOST: Final = 0.8
_FURTHEST: Final = 4.0
_LEAST: Final = 1e-9


def feedback(slowing: float, many: float, usage: float) -> float:
    """Return by which share of itself a change of the batch comes back.

    It is taken half way between the batch of now and one that fills the cache, for that is the way
    of a path that gets there.

    Args:
        slowing: by how much the time of a token grows with one request more, as a share.
        many: requests in the engine.
        usage: of the KV cache.

    Returns:
        From 0 to below 1.
    """
    further = 0.5 * (min(1.0 / max(usage, _LEAST), _FURTHEST) - 1.0) * many
    return min(slowing * (many + further) / (1.0 + slowing * further), _MOST)


def amplified(times: Column, unit: float, share: float) -> Column:
    """Return how much more the variance of chance is, some seconds ahead.

    Nothing at first, for chance has to build up, and `1 / (1 - share)` in the end.

    Args:
        times: seconds from now, above 0.
        unit: seconds in which requests are replaced by others.
        share: of a change that comes back.
    """
    kept = 1.0 - share
    slow, fast = (-np.expm1(-2.0 * rate * times / unit) for rate in (kept, 1.0))
    more: Column = slow / (kept * fast)
    return more
