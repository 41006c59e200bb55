"""How long it takes from a cache without room for a prompt to the first preemption."""

from typing import Final

import numpy as np

from agent.analysis.forecasts.passage import normal, stratified
from agent.analysis.forecasts.population import Population
from agent.analysis.window import Column

_LEFT: Final = stratified(5)
_SHOCK: Final = np.abs(normal(stratified(6)))


def until_thrown(who: Population, *, each: float, running: float, room: float) -> Column:
    """Return the seconds from full to the first preemption on each path, shape (paths,).

    What is left then is less than a prompt. Those that run fill it token by token while those that
    end give theirs back, whole, and who then fits is let in: first passage of a level with that
    drift and that variance, for a fixed quantile of the Brownian motion the root of
    `left = drift t + noise sqrt(t)`.

    Args:
        who: how requests behave.
        each: usage of a token.
        running: requests that run.
        room: usage that is left when the cache counts as full.
    """
    left = _LEFT * room
    size = each * (who.prompt + who.pace * who.lifetime)
    ending = running / who.lifetime
    gain = each * running * who.pace
    drift = max(gain + ending * (each * who.prompt - size), 0.0)
    noise = ending**0.5 * size * _SHOCK
    if drift > 0:
        root = (np.sqrt(noise * noise + 4.0 * drift * left) - noise) / (2.0 * drift)
    else:
        root = left / np.maximum(noise, 1e-9)
    # Nothing fills it faster than all that run together.
    quickest: Column = np.maximum(root * root, left / max(gain, 1e-9))
    return quickest
