"""What is kept of the stretches, and when it is forgotten."""

from collections import Counter
from dataclasses import replace

import numpy as np

from agent.analysis.step_store import CHANGED_FOR, MAX_AGE, StepStore, load_of
from agent.analysis.step_windows import Stretch
from tests.agent.analysis.stretches import START, linear, stretches


def _expected(stretch: Stretch) -> float:
    """Return what the law says."""
    return linear(stretch.prefill, stretch.decode, stretch.kv)


def _filled(count: int = 60) -> StepStore:
    """Return a store with stretches of the law."""
    store = StepStore()
    for one in stretches(linear, count=count):
        store.add(one, _expected)
    return store


def test_newest_of_each_load_are_kept():
    """However often a load is seen, as few of it stay, and those are the newest."""
    store = StepStore()
    many = stretches(linear, count=500, batch=(4.0, 4.01))
    for one in many:
        store.add(one)
    counts = Counter(load for load, _stretch in store.items())
    newest = {load: max(one.time for one in many if load_of(one) == load) for load in counts}
    assert max(counts.values()) <= 6
    for load, latest in newest.items():
        assert latest in [one.time for key, one in store.items() if key == load]


def test_number_is_bounded():
    """Any number of different loads takes bounded memory; the oldest go first."""
    store = StepStore()
    dice = np.random.default_rng(0)
    for number, one in enumerate(stretches(linear, count=2000, batch=(1.0, 500.0))):
        spread = replace(one, prefill=float(np.exp(dice.uniform(0, 9))))
        store.add(replace(spread, kv=one.decode * float(np.exp(dice.uniform(0, 9)))))
        assert len(store) <= min(number + 1, 240)
    assert len(store) == 240


def test_old_stretches_are_forgotten():
    """After a day nothing is left of the day before."""
    store = _filled()
    store.add(stretches(linear, count=1, start=START + 2 * MAX_AGE)[0])
    assert len(store) == 1


def test_slower_law_is_noticed():
    """Clocks that sink for good: what is older is forgotten, once there is no doubt."""
    store = _filled(150)
    slower = stretches(lambda *load: 1.4 * linear(*load), count=60, start=START + 750.0, seed=1)
    changes = [store.add(one, _expected) for one in slower]
    assert changes.count(True) >= 1
    # One or two before the change may have been slow by chance.
    assert changes.index(True) + 1 >= CHANGED_FOR - 2
    assert all(one.time >= START + 740.0 for _load, one in store.items())
    assert store.changed is not None
    assert START + 740.0 <= store.changed <= START + 1050.0


def test_disturbance_is_no_change():
    """Half a minute of everything taking twice as long leaves what is known."""
    store = _filled(150)
    slower = stretches(lambda *load: 2 * linear(*load), count=CHANGED_FOR - 1, start=START + 750.0)
    assert not any(store.add(one, _expected) for one in slower)
    calm = stretches(linear, count=60, start=START + 900.0, seed=2)
    assert not any(store.add(one, _expected) for one in calm)
    assert store.changed is None


def test_new_loads_are_no_change():
    """A model that is wrong where nothing was seen is wrong, and the law the same."""
    store = _filled(100)
    beyond = stretches(
        lambda *load: 3 * linear(*load), count=40, batch=(100.0, 300.0), start=START + 600.0
    )
    assert not any(store.add(one, _expected) for one in beyond)
