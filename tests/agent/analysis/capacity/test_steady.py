"""The batch that a load makes, and the load that an engine bears: bounds, and simulated engines."""

from dataclasses import replace
from math import inf
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity.law import Law
from agent.analysis.capacity.queueing import latencies
from agent.analysis.capacity.room import Room
from agent.analysis.capacity.steady import most_served, saturation, steady
from tests.agent.analysis.capacity.engines import LAW, ROOM, overlapping, shape


def test_a_full_engine_serves_batch_by_output_and_step():
    """Where each step takes the same time, seats / (output · step) requests a second leave."""
    law = Law.linear(0.02, 0.0, 0.0, 0.0)
    some = shape(100.0, 100.0, 0.0)
    assert saturation(law, some, Room(8.0, 8192.0)) == pytest.approx(8.0 / (100.0 * 0.02), rel=0.02)


def test_a_full_budget_bounds_the_load():
    """Where every step is full of tokens, so many tokens a step are served and no more."""
    law = Law.linear(0.02, 0.0, 0.0, 0.0)
    some = shape(1000.0, 11.0, 0.0)
    found = saturation(law, some, Room(1000.0, 256.0))
    assert found == pytest.approx(256.0 / 0.02 / (1000.0 + 10.0), rel=0.02)


@settings(max_examples=30, deadline=None)
@given(st.floats(600.0, 3000.0), st.floats(5.0, 60.0), st.floats(0.0, 0.8), st.floats(64.0, 1024.0))
def test_a_full_engine_takes_prompts_in_parts(
    prompt: float, output: float, spread: float, budget: float
):
    """Where steps are full, each takes what a full one does, whatever prompts look like."""
    law, some = overlapping(), shape(prompt, output, spread)
    each = some.prompt + some.output - 1.0
    decode = np.array(budget * (some.output - 1.0) / each)
    full = float(law.without_prompts(decode) + law.prompts(budget - decode, decode))
    found = saturation(law, some, Room(1e4, budget))
    assert found == pytest.approx(budget / (each * full), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(200.0, 3000.0), st.floats(0.1, 0.9), st.floats(256.0, 2048.0))
def test_parts_of_prompts_take_no_less_than_a_mean_step(prompt: float, load: float, budget: float):
    """Steps take at least what they would if all had as many prompt tokens as the mean one."""
    law, some, room = overlapping(), shape(prompt, 40.0, 0.5), Room(128.0, budget)
    rate = load * saturation(law, some, room)
    found = steady(law, some, room, rate)
    assert found is not None
    at = int(np.argmin(np.abs(found.batches - found.mean)))
    step, decode = float(found.step[at]), found.decode[at]
    even = float(found.bare[at] + law.prompts(np.array(rate * some.prompt * step), decode))
    assert 0.99 * even <= step <= float(found.full[at]) * (1.0 + 1e-9)


def test_a_full_cache_computes_again():
    """With as many requests by memory as by seats, less is served: some are computed again."""
    some = shape(300.0, 150.0)
    seats = saturation(LAW, some, Room(24.0, 8192.0))
    memory = saturation(LAW, some, Room(256.0, 8192.0, 24.0))
    assert 0.7 * seats < memory < 0.99 * seats


def test_who_holds_much_keeps_others_out():
    """In a cache for 24 requests the first token waits at loads at which 24 seats would do."""
    some = shape(100.0, 300.0, 0.8)
    rate = 0.75 * saturation(LAW, some, Room(24.0, 8192.0))
    seats = latencies(LAW, some, Room(24.0, 8192.0), rate)
    memory = latencies(LAW, some, Room(256.0, 8192.0, 24.0), rate)
    assert memory.first_token > 2.0 * seats.first_token


def test_seats_that_nobody_tells_are_those_that_serve_most():
    """Where a larger batch serves less, an engine is not taken to have one."""
    law, some = Law.linear(0.02, 1e-4, 1e-4, 2e-5), shape()
    best = most_served(law, some, Room(1024.0, 8192.0))
    here = saturation(law, some, Room(best, 8192.0))
    assert 8.0 < best < 256.0
    assert all(
        here >= 0.97 * saturation(law, some, Room(seats, 8192.0)) for seats in (8.0, 64.0, 1024.0)
    )


def test_seats_beyond_what_fits_do_not_pass_for_more_that_serve():
    """In a cache for 400 all seats serve as much as half of them, and a quarter of those more."""
    bent = Law.linear(0.02, 1e-4, 1e-4, 2e-5)
    law = replace(bent, host=1e-3, reading=0.015, arithmetic=0.015 / 55.0, grows=0.002)
    some = shape(250.0, 130.0, 0.6)
    room = Room(1024.0, 1e6, 400.0)
    best = most_served(law, some, room)
    here = saturation(law, some, room._replace(seats=best))
    assert best < 256.0
    assert here > 1.1 * saturation(law, some, room)


class _Simulated(NamedTuple):
    """What an engine did.

    Attributes:
        mean: requests in the batch.
        variance: of those.
        inter_token: 95th percentile of the mean time per output token.
    """

    mean: float
    variance: float
    inter_token: float


def _simulated(
    law: Law,
    *,
    prompt: float,
    output: int,
    rate: float,
    steps: int = 40_000,
    seats: int = 390,
) -> _Simulated:
    """Let requests that are all alike come at random, for so many steps; who has no seat waits."""
    dice = np.random.default_rng(5)
    coming = np.cumsum(dice.exponential(1.0 / rate, 4 * steps)).tolist()
    time, came = 0.0, 0
    running: list[tuple[int, float]] = []  # step of the last token, and time of the first
    prompts = waiting = 0
    lasted: list[float] = []
    seconds, counts, squares = 0.0, 0.0, 0.0
    batches = np.arange(400.0)
    bare = (law.without_prompts(batches) + 0.0 * batches).tolist()
    added = [
        (law.adding(batches)(np.array(prompt * count)) + 0.0 * batches).tolist()
        for count in range(60)
    ]
    for step in range(steps):
        length = bare[len(running)] + added[prompts][len(running)]
        there = len(running) + prompts
        seconds, counts, squares = (
            seconds + length,
            counts + there * length,
            squares + there * there * length,
        )
        time += length
        running += [(step + output - 1, time)] * prompts
        lasted += [(time - first) / (output - 1) for last, first in running if last == step]
        running = [one for one in running if one[0] > step]
        while coming[came] <= time:
            came, waiting = came + 1, waiting + 1
        if not running and not waiting:
            time, waiting, came = coming[came], 1, came + 1
        prompts = min(waiting, seats - len(running))
        waiting -= prompts
    mean = counts / seconds
    return _Simulated(mean, squares / seconds - mean**2, float(np.quantile(lasted, 0.95)))


@pytest.mark.parametrize("share", [0.15, 0.35])
def test_prompts_bring_requests_in_groups(share: float):
    """The batch moves as that of a simulated engine does, and requests with it.

    While a prompt is computed others come: the more time prompts take, the farther the number of
    requests is from that of a queue into which they come one by one, whose variance is its mean.
    """
    bare, output, rate = 0.02, 60, 4.0
    law, some = Law.linear(bare, share / rate / 300.0, 0.0, 0.0), shape(300.0, output, 0.0)
    seen = _simulated(law, prompt=300.0, output=output, rate=rate)
    found = steady(law, some, ROOM, rate)
    assert found is not None
    assert found.mean == pytest.approx(seen.mean, rel=0.05)
    assert seen.variance > (1.0 + share) * seen.mean
    assert found.variance == pytest.approx(seen.variance, rel=0.2)
    latency = latencies(law, some, ROOM, rate).inter_token
    assert latency == pytest.approx(seen.inter_token, rel=0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(100.0, 3000.0),
    st.floats(10.0, 300.0),
    st.floats(0.0, 0.8),
    st.floats(0.2, 0.97),
    st.sampled_from((Room(8.0, 8192.0), Room(128.0, 512.0), Room(128.0, 8192.0, 20.0))),
)
def test_as_many_requests_end_as_come(
    prompt: float, output: float, spread: float, load: float, room: Room
):
    """However wide groups make the batch, its mean is where it ends as many as come."""
    law, some = overlapping(), shape(prompt, output, spread)
    rate = load * saturation(law, some, room)
    found = steady(law, some, room, rate)
    if found is None:
        return
    shares = np.diff(found.reached)
    shares[-1] += 1.0 - found.reached[-1]
    assert float(shares @ found.ends) == pytest.approx(rate, rel=1e-6)


def knee(batch: float) -> Law:
    """Return the law of an engine whose arithmetic takes as long as reading with such a batch."""
    return replace(overlapping(), arithmetic=0.02 / batch)


@pytest.mark.parametrize("batch", [12.0, 30.0])
def test_a_batch_beyond_the_knee_moves_as_a_simulated_one(batch: float):
    """Near its limit an engine's batch stays large for long, and requests see it so, within 10 %.

    Where one more in the batch hardly makes more of them end, a group that came together is there
    for long; and long steps, in which many come, follow each other.
    """
    law, some, room = knee(batch), shape(60.0, 60.0, 0.0), Room(256.0, 8192.0)
    rate = 0.9 * saturation(law, some, room)
    seen = _simulated(law, prompt=60.0, output=60, rate=rate, steps=120_000)
    found = steady(law, some, room, rate)
    assert found is not None
    assert found.mean == pytest.approx(seen.mean, rel=0.1)
    assert np.sqrt(found.variance) == pytest.approx(np.sqrt(seen.variance), rel=0.1)
    latency = latencies(law, some, room, rate).inter_token
    assert latency == pytest.approx(seen.inter_token, rel=0.1)


@pytest.mark.parametrize("seats", [4, 8])
def test_few_seats_let_few_prompts_come_between(seats: int):
    """Who has no seat delays nobody: requests are not told to take more than half as long again.

    Were all prompts that come computed at once, they would seem to take twice and a half as long.
    """
    law, some, room = knee(24.0), shape(300.0, 40.0, 0.0), Room(float(seats), 8192.0)
    rate = 0.9 * saturation(law, some, room)
    seen = _simulated(law, prompt=300.0, output=40, rate=rate, steps=60_000, seats=seats)
    found = steady(law, some, room, rate)
    assert found is not None
    assert found.mean == pytest.approx(seen.mean, rel=0.1)
    assert 1.0 <= latencies(law, some, room, rate).inter_token / seen.inter_token <= 1.5


@pytest.mark.parametrize("knee_at", [8.0, 30.0])
@pytest.mark.parametrize("seats", [4.0, 64.0])
def test_a_full_batch_ends_as_many_as_are_served_at_most(knee_at: float, seats: float):
    """Each takes as many steps as it has tokens: up to the limit a load is borne, not beyond."""
    law, some, room = knee(knee_at), shape(200.0, 60.0, 0.4), Room(seats, 8192.0)
    limit = saturation(law, some, room)
    found = steady(law, some, room, 0.99 * limit)
    assert found is not None
    assert float(found.ends[-1]) == pytest.approx(limit, rel=0.04)
    assert steady(law, some, room, 1.01 * limit) is None


@pytest.mark.parametrize("batch", [8.0, 16.0, 32.0])
def test_large_batches_return_more_slowly(batch: float):
    """Beyond the knee one more request hardly makes more of them end: it takes longer to go."""
    law, some, room = knee(batch), shape(100.0, 60.0, 0.4), Room(128.0, 8192.0)
    found = steady(law, some, room, 0.7 * saturation(law, some, room))
    assert found is not None
    beyond = found.returns[int(found.mean) :]
    assert (np.diff(beyond) <= 1e-9).all()
    assert beyond[-1] < 0.7 * beyond[0]


@settings(max_examples=30, deadline=None)
@given(st.floats(20.0, 2000.0), st.floats(5.0, 400.0), st.floats(4.0, 200.0))
def test_stability_rises_with_each_limit(prompt: float, output: float, seats: float):
    """With more seats or a larger budget an engine with this law serves no less."""
    some = shape(prompt, output)
    here = saturation(LAW, some, Room(seats, 1024.0))
    assert 0.0 < here < inf
    assert saturation(LAW, some, Room(2.0 * seats, 1024.0)) >= here * (1.0 - 1e-9)
    assert saturation(LAW, some, Room(seats, 2048.0)) >= here * (1.0 - 1e-9)
