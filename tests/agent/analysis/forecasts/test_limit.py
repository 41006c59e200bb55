"""Clients that wait for their answers are told from independent requests."""

import random
from math import inf

import numpy as np
import pytest

from agent.analysis.forecasts.limit import Bounded, bounded
from agent.analysis.forecasts.page import Pages
from agent.analysis.places import Places
from agent.analysis.window import View, Window

SECONDS = 200


def known(inside: np.ndarray, started: np.ndarray) -> Pages:
    """Return pages of an engine with so many requests inside, of which none waits."""
    times = np.arange(float(len(inside)))
    zero = np.zeros(len(inside))
    return Pages(
        times=times,
        usage=zero,
        running=inside.astype(float),
        started=started.astype(float),
        prompt=zero,
        generated=zero,
        inside=inside.astype(float),
        waiting=0.0,
        held=0.0,
        preempted=0.0,
        view=View(Window([]), Places({}, {})),
    )


def independent(rate: float, lifetime: float, seed: int) -> Pages:
    """Return requests that arrive by a Poisson process and stay for exponential times."""
    dice = random.Random(seed)
    begins: list[float] = []
    time = -10.0 * lifetime
    while (time := time + dice.expovariate(rate)) < SECONDS:
        begins.append(time)
    ends = [begin + dice.expovariate(1.0 / lifetime) for begin in begins]
    ticks = np.arange(SECONDS)
    began = np.searchsorted(np.array(begins), ticks)
    return known(began - np.searchsorted(np.sort(ends), ticks), began)


def clients(counts: np.ndarray, *, seed: int = 1) -> Pages:
    """Return clients of whom one or two are now and then between two questions."""
    dice = np.random.default_rng(seed)
    away = dice.choice([0, 0, 0, 1], size=len(counts))
    return known(counts - away, np.cumsum(dice.poisson(counts / 5.0)))


@pytest.mark.parametrize("many", [8, 20, 60])
def test_clients_that_wait_are_counted(many: int):
    """A number that stays although dozens come and go is that of the clients."""
    found = bounded(clients(np.full(SECONDS, many)))
    assert found is not None
    assert found.many == many
    assert 0.0 < found.since < inf


@pytest.mark.parametrize(("rate", "lifetime"), [(4.0, 5.0), (1.0, 30.0), (10.0, 1.0)])
def test_independent_requests_are_not_clients(rate: float, lifetime: float):
    """Of the ends of a hundred independent streams at most three look like clients."""
    looked = [bounded(independent(rate, lifetime, seed)) for seed in range(100)]
    assert sum(one is not None for one in looked) <= 3


def test_clients_that_still_come_are_not_counted():
    """While one more comes every ten seconds there is no telling where it ends."""
    assert bounded(clients(10 + np.arange(SECONDS) // 10)) is None


def test_clients_that_came_at_once_are_counted():
    """Eight more at a time are sixteen, as soon as a few dozen requests say so."""
    found = bounded(clients(np.where(np.arange(SECONDS) < 150, 8, 16)))
    assert found == Bounded(16.0, found.since) if found else False
    assert found.since <= 50.0


def test_an_engine_that_does_nothing_has_no_clients():
    """Without requests there is nothing to tell."""
    assert bounded(known(np.zeros(SECONDS), np.zeros(SECONDS))) is None
