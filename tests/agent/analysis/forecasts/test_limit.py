"""What limits the batch: clients that wait for their answers, and what a queue shows."""

import random
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from agent.analysis.forecasts.limit import Bounded, Limit, bounded
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


def queue(
    *, running: float = 16.0, waiting: float = 3.0, usage: float = 0.7, step: float = 0.05
) -> Pages:
    """Return twenty seconds of an engine whose batch stands while others wait."""
    times = np.arange(20.0)
    many = np.full(20, running)
    pages = known(many, np.arange(20) * 4.0)
    return replace(
        pages,
        usage=np.full(20, usage),
        inside=many + waiting,
        waiting=waiting,
        generated=times * running / step,
        running=many,
    )


def test_a_queue_shows_the_limit():
    """A batch that stands although others wait and the cache has room is as large as it may be."""
    assert Limit().most(queue(), 5.0, None) == 16.0


@pytest.mark.parametrize(
    "pages",
    [queue(usage=0.95), queue(step=10.0)],
    ids=["the cache may be what lacks", "no step has ended"],
)
def test_a_batch_that_stands_for_another_reason_shows_no_limit(pages: Pages):
    """A full cache holds requests back too, and in a step that takes long nobody is let in."""
    moving = replace(pages, running=pages.running - np.arange(20) % 5)
    assert Limit()._remember(moving) is None
    assert Limit()._remember(pages) is None


def test_a_limit_is_remembered_until_more_run():
    """Once shown it is known while the batch is smaller, and is none once more run."""
    limit = Limit()
    limit.most(queue(), 5.0, None)
    assert limit.most(independent(1.0, 5.0, seed=1), 5.0, None) == 16.0
    assert limit.most(queue(running=17.0, waiting=0.0), 5.0, None) != 16.0


def test_a_restart_forgets_the_limit():
    """What is served now may have been started with another limit."""
    limit = Limit()
    limit.most(queue(), 5.0, None)
    fresh = independent(1.0, 5.0, seed=1)
    assert limit.most(replace(fresh, started=fresh.started * 0.0), 5.0, None) != 16.0


def test_fewer_clients_than_the_limit_are_the_limit():
    """Who waits for an answer does not ask: there are never more than there are clients."""
    limit = Limit()
    assert limit.most(queue(), 5.0, Bounded(9.0, 100.0)) == 9.0
    assert limit.most(queue(), 5.0, Bounded(30.0, 100.0)) == 16.0


def test_an_engine_that_does_nothing_has_no_clients():
    """Without requests there is nothing to tell."""
    assert bounded(known(np.zeros(SECONDS), np.zeros(SECONDS))) is None
