"""Whatever an engine says for once or for good, no part of the analysis fails."""

import math
import random
from collections.abc import Callable

import pytest

from agent.app.conclusions import Conclusions
from agent.config import Settings
from agent.model import Reading, SeriesTable
from tests.simulator import small_caches

Odd = Callable[[float, random.Random], float]

WAYS: tuple[Odd, ...] = (
    lambda _value, _dice: 0.0,
    lambda _value, _dice: 9e14,
    lambda _value, _dice: 5e-324,
    lambda _value, _dice: math.nan,
    lambda _value, _dice: -1.0,
    lambda value, dice: value * dice.choice([0.0, 1e-9, 1e3, 1e9]),
    lambda value, dice: dice.choice([0.0, value]),
    lambda value, dice: value + dice.choice([0.0, 1e12]),
    lambda _value, _dice: math.inf,
    lambda _value, dice: dice.random() * 1e15,
    lambda value, _dice: value // 2.0,
)
"""What becomes of a number."""

SECONDS = 200


# In the agent a number that is too large for a float is no error of its own, here it would be one.
@pytest.mark.filterwarnings("ignore:(overflow|invalid value|divide by zero):RuntimeWarning")
@pytest.mark.parametrize("seed", [29, 60, 283, 341])
def test_no_part_fails(seed: int):
    """Of a simulated engine a twelfth of the series are odd from some second on, or now and then.

    Once a token budget of 0 or next to it, a prefill time that was missing at the end of a
    stretch, and a count of lengths next to 0 made step time, capacity or forecast fail.
    """
    dice = random.Random(seed)
    simulation = small_caches.kv_limited_queue(random.Random(6))
    simulation.seconds = SECONDS
    table = SeriesTable()
    pipeline = Conclusions(Settings()).pipeline(table)
    odd: dict[int, tuple[Odd, float, int]] = {}
    for second, (frame, _truth) in enumerate(simulation.run(table)):
        if not second:
            odd = {
                one: (dice.choice(WAYS), dice.choice([1.0, 0.3, 0.02]), dice.randint(0, 150))
                for one in frame.ids
                if dice.random() < 0.08
            }
        values = [*frame.values]
        for place, series_id in enumerate(frame.ids):
            way, often, since = odd.get(series_id, (None, 0.0, SECONDS))
            if way is not None and second >= since and dice.random() < often:
                values[place] = way(values[place], dice)
        told = pipeline.conclude(frame.time, (), Reading(frame.ids, values)).events
        assert [one.message for one in told if one.kind == "analysis_failed"] == []
