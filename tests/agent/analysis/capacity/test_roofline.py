"""The roofline that stretches of work tell."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity import roofline
from agent.analysis.capacity.law import law_of
from agent.analysis.capacity.roofline import GROWN, Roofline, growth, roofline_of
from agent.analysis.step_evidence import StepEvidence
from agent.analysis.step_fit import fit
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_windows import Stretch

HELD = 600.0
CACHE = 100.0 * HELD
OUTPUT = 60.0
BUDGET = 8192.0
STEPS = 400


def engine(weights: float, knee: float, *, host: float = 0.06, full: float = 0.5) -> Roofline:
    """Return an engine by the seconds of reading, the batch of its knee, and shares of reading."""
    token = weights / knee
    return Roofline(host * weights, weights, full * weights / CACHE, token, 0.002 * token)


def seconds(law: Roofline, prefill: float, decode: float, *, power: float = 3.0) -> float:
    """Return what one step takes; with the power 1 nothing overlaps."""
    reading = law.weights + law.kv * HELD * decode
    arithmetic = law.token * (prefill + decode) + law.pair * decode * decode
    return law.host + float((reading**power + arithmetic**power) ** (1.0 / power))


def worked(
    law: Roofline, prompt: float, *, most: float = 24.0, power: float = 3.0, seed: int = 0
) -> list[Stretch]:
    """Return stretches of an engine, each simulated step by step at one batch.

    Prompts come at random, as many as keep that batch, and are computed in the next step, as far
    as it has room.
    """
    dice = np.random.default_rng(seed)
    found = []
    for number, decode in enumerate(np.geomspace(1.5, most, 36).tolist()):
        rate = decode / (OUTPUT * seconds(law, prompt * decode / OUTPUT, decode, power=power))
        wall, tokens, prompts, last, left = 0.0, 0.0, 0, 0.0, 0.0
        for _ in range(STEPS):
            come = int(dice.poisson(rate * last))
            prompts += come
            left += prompt * float(np.exp(dice.normal(-0.08, 0.4, come)).sum())
            now = min(left, BUDGET - decode)
            left, tokens = left - now, tokens + now
            last = seconds(law, now, decode, power=power) * float(np.exp(dice.normal(0.0, 0.03)))
            wall += last
        found.append(
            Stretch(
                time=1e9 + 10.0 * number,
                steps=float(STEPS),
                seconds=wall / STEPS,
                prefill=tokens / STEPS,
                decode=decode,
                kv=HELD * decode,
                decode_squared=decode * decode,
                prompts=prompts / STEPS,
            )
        )
    return found


def learned(stretches: list[Stretch]) -> tuple[StepTimeModel, StepEvidence]:
    """Return the law that is fitted to stretches, and what it rests on."""
    found = fit(stretches, [number // 3 for number in range(len(stretches))])
    assert found is not None
    model = StepTimeModel.of(found, stretches[-1].time)
    return model, StepEvidence.of(stretches, model)


def prompts(mean: float) -> np.ndarray:
    """Return quantiles of the lengths."""
    normal = NormalDist()
    some = np.exp([0.4 * normal.inv_cdf((place + 0.5) / 64.0) for place in range(64)])
    return np.asarray(some * mean / some.mean())


def told(
    stretches: list[Stretch], mean: float, cache: float | None = CACHE
) -> tuple[StepTimeModel, Roofline | None]:
    """Return what is learned of stretches: the law, and the roofline."""
    model, evidence = learned(stretches)
    lengths = prompts(mean)
    return model, roofline_of(evidence, model.coefficients, lengths, budget=BUDGET, cache=cache)


@settings(max_examples=12, deadline=None)
@given(st.floats(0.005, 0.05), st.floats(60.0, 300.0), st.floats(100.0, 800.0))
def test_an_engine_is_foretold_beyond_what_was_seen(weights: float, knee: float, prompt: float):
    """Twice the largest batch, without prompts and with three, takes what it does, to a ninth.

    Where prompts fill steps many times over a line fits as well, and that is another test.
    """
    law = engine(weights, knee)
    model, found = told(worked(law, prompt), prompt)
    assert found is not None
    step = law_of(model, prompts(prompt), held=HELD, shared=0.0, budget=BUDGET, roofline=found)
    twice = np.array(48.0)
    assert float(step.without_prompts(twice)) == pytest.approx(seconds(law, 0.0, 48.0), rel=0.11)
    both = float(step.without_prompts(twice) + step.prompts(np.array(3.0 * prompt), twice))
    assert both == pytest.approx(seconds(law, 3.0 * prompt, 48.0), rel=0.11)


def test_it_is_nearer_than_a_line_where_prompts_are_long():
    """A step full of prompts at a large batch is foretold better than by the learned law alone."""
    law = engine(0.015, 300.0)
    model, found = told(worked(law, 600.0), 600.0)
    true = seconds(law, 4000.0, 60.0)

    def said(one: Roofline | None) -> float:
        step = law_of(model, prompts(600.0), held=HELD, shared=0.0, budget=BUDGET, roofline=one)
        here = np.array(60.0)
        return float(step.without_prompts(here) + step.prompts(np.array(4000.0), here))

    assert found is not None
    assert abs(said(found) / true - 1.0) < 0.5 * abs(said(None) / true - 1.0)


def test_nothing_is_read_into_steps_that_do_not_overlap():
    """Where reading and arithmetic add up, and a line fits better, no roofline is claimed."""
    law = replace(engine(0.02, 30.0), pair=0.0)
    _model, found = told(worked(law, 60.0, power=1.0, most=100.0), 60.0)
    assert found is None


@pytest.mark.parametrize("free", [False, True])
def test_what_fits_a_little_worse_is_believed_in_part(*, free: bool):
    """A law half of which is believed lies halfway between the two, in steps and in doubt.

    Also where what was learned has prompts for free.
    """
    law = engine(0.02, 120.0)
    model, found = told(worked(law, 400.0), 400.0)
    assert found is not None
    if free:
        base, _prompt, *others = model.coefficients
        model = replace(model, coefficients=(base, 0.0, *others))
    whole, half, none = (
        law_of(model, prompts(400.0), held=HELD, shared=0.0, budget=BUDGET, roofline=one).times(2.0)
        for one in (found, replace(found, share=0.5), None)
    )
    assert (whole.believed, half.believed, none.believed) == (1.0, 0.5, 0.0)
    batches = np.array([4.0, 48.0, 200.0])
    tokens = np.array([100.0, 800.0, 4000.0])
    assert half.without_prompts(batches) == pytest.approx(
        0.5 * (whole.without_prompts(batches) + none.without_prompts(batches))
    )
    assert half.prompts(tokens, batches) == pytest.approx(
        0.5 * (whole.prompts(tokens, batches) + none.prompts(tokens, batches))
    )
    doubts = [
        one.doubt_at(100.0) * float(one.without_prompts(np.array(100.0)))
        for one in (whole, half, none)
    ]
    assert 2.0 * doubts[1] == pytest.approx(doubts[0] + doubts[2])


@pytest.mark.parametrize(("drift", "share"), [(0.0, 1.0), (0.06, 0.5), (0.1, None)])
def test_on_a_machine_that_drifts_it_is_believed_less(drift: float, share: float | None):
    """Where minutes differ by a tenth no roofline is claimed, where by little half of it is."""
    model, evidence = learned(worked(engine(0.02, 120.0), 400.0))
    found = roofline_of(
        replace(evidence, drift=drift),
        model.coefficients,
        prompts(400.0),
        budget=BUDGET,
        cache=CACHE,
    )
    assert (None if found is None else found.share) == pytest.approx(share)


def test_without_prompts_there_is_none():
    """Of an engine whose stretches hold no prompts nothing is known of arithmetic."""
    stretches = [
        replace(one, prefill=0.0, prompts=0.0, seconds=0.01 + 1e-4 * one.decode)
        for one in worked(engine(0.01, 100.0), 300.0)
    ]
    assert told(stretches, 300.0)[1] is None


def test_it_is_told_where_a_line_takes_prompts_for_free():
    """Of steps most of which are full of prompts, a line may have all the time for their base."""
    law, budget, prompt = engine(0.01, 150.0), 256.0, 900.0
    stretches = []
    for number, decode in enumerate(np.geomspace(1.5, 12.0, 24).tolist()):
        full, chunk = 0.2 + 0.8 * number / 23.0, budget - decode
        with_prompts, without = seconds(law, chunk, decode), seconds(law, 0.0, decode)
        stretches.append(
            Stretch(
                time=1e9 + 10.0 * number,
                steps=float(STEPS),
                seconds=full * with_prompts + (1.0 - full) * without,
                prefill=full * chunk,
                decode=decode,
                kv=HELD * decode,
                decode_squared=decode * decode,
                prompts=full * chunk / prompt,
            )
        )
    usual = max(one.seconds for one in stretches)
    found = roofline_of(
        learned(stretches)[1],
        (usual, 0.0, 0.0, 0.0, 0.0),
        prompts(prompt),
        budget=budget,
        cache=CACHE,
    )
    assert found is not None
    for tokens, decode in ((0.0, 4.0), (250.0, 6.0), (500.0, 12.0)):
        assert seconds(found, tokens, decode) == pytest.approx(
            seconds(law, tokens, decode), rel=0.1
        )


def test_steps_with_prompts_follow_each_other():
    """In a long step more come: fewer steps have prompts than if chance spread them over all.

    A step without takes 1, one with any 12: how many of a simulated engine's steps have some is
    foretold to 3 %, where by chance alone it were a tenth more.
    """
    dice = np.random.default_rng(2)
    last, wall, some, came = 1.0, 0.0, 0, 0
    for _ in range(40_000):
        come = int(dice.poisson(0.05 * last))
        last = 12.0 if come else 1.0
        wall, some, came = wall + last, some + (come > 0), came + come
    steps = 40_000.0
    _model, evidence = learned(worked(engine(0.02, 120.0), 400.0))
    one = replace(evidence, picked=np.array([False]))
    share = roofline._with_prompts(np.array([came / steps]), np.array([steps / wall]), one)
    assert float(share[0]) == pytest.approx(some / steps, rel=0.03)
    assert -np.expm1(-came / steps) > 1.1 * some / steps


@pytest.mark.parametrize("cache", [CACHE, None])
def test_what_nobody_tells_is_assumed(cache: float | None):
    """Neither the size of the cache nor the prompts of each stretch need be known."""
    law = engine(0.02, 120.0)
    stretches = [replace(one, prompts=None) for one in worked(law, 400.0)]
    _model, found = told(stretches, 400.0, cache)
    assert found is not None
    assert found.token == pytest.approx(law.token, rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.floats(2.0, 2048.0), st.floats(1.0, 500.0))
def test_nobody_allows_more_sequences_than_pay(seats: float, knee: float):
    """With twice the growth that is assumed a full batch still serves 0.9 of what half would.

    It is what is assumed without seats, or half of that with which it serves just so much.
    """
    found, full = growth(seats, knee), min(seats, GROWN)

    def served(batch: float) -> float:
        grown = batch * (1.0 + 2.0 * found * batch)
        return batch / float((knee**3 + grown**3) ** (1.0 / 3.0))

    usual = growth(None, knee)
    assert 0.0 < found <= usual
    assert served(full) >= 0.9 * served(0.5 * full) * (1.0 - 1e-3)
    if found < 0.99 * usual:
        assert served(full) == pytest.approx(0.9 * served(0.5 * full), rel=2e-3)


def test_many_seats_make_large_batches_shorter():
    """What is beyond all that was seen is flatter where 256 sequences are allowed, not where 16."""
    law = replace(engine(0.01, 14.0), pair=0.0005 * 0.01 / 14.0)
    stretches = worked(law, 60.0, most=12.0)
    model, evidence = learned(stretches)
    true = seconds(law, 0.0, 200.0)
    said = {}
    for seats in (16.0, 256.0):
        found = roofline_of(
            evidence, model.coefficients, prompts(60.0), budget=BUDGET, cache=CACHE, seats=seats
        )
        step = law_of(
            model,
            prompts(60.0),
            held=HELD,
            shared=0.0,
            budget=BUDGET,
            roofline=found,
            seats=seats,
        )
        said[seats] = float(step.without_prompts(np.array(200.0)))
    assert said[256.0] == pytest.approx(true, rel=0.06)
    assert said[16.0] > 1.15 * true


def test_stretches_of_shorter_prompts_are_known_as_such():
    """Prompts that were four times as short as those of now do not mislead about what one costs."""
    law = engine(0.02, 120.0)
    _model, found = told(worked(law, 150.0), 600.0)
    assert found is not None
    assert found.token == pytest.approx(law.token, rel=0.1)


def test_disturbed_stretches_count_for_nothing():
    """A sixth of the stretches that took half as long again changes the arithmetic by a tenth."""
    law = engine(0.02, 120.0)
    stretches = [
        replace(one, seconds=1.5 * one.seconds) if number % 6 == 0 else one
        for number, one in enumerate(worked(law, 400.0))
    ]
    _model, found = told(stretches, 400.0)
    assert found is not None
    assert found.token == pytest.approx(law.token, rel=0.1)
    assert found.weights == pytest.approx(law.weights, rel=0.1)


def test_an_engine_that_tells_no_tokens_held_has_one():
    """Without the tokens held nothing is read but weights, and no number is undefined."""
    stretches = [replace(one, kv=float("nan")) for one in worked(engine(0.02, 120.0), 400.0)]
    _model, found = told(stretches, 400.0, None)
    assert found is not None
    assert np.isfinite([found.host, found.weights, found.kv, found.token, found.pair]).all()
    assert found.kv * HELD * 24.0 < 1e-3 * found.weights
