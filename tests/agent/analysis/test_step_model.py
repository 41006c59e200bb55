"""The law of the step: what is fitted, how sure it is, and how far it is trusted."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.step_fit import FEWEST, TERMS, fit, quantile_t
from agent.analysis.step_model import FURTHEST, StepTimeModel
from agent.analysis.step_store import StepStore, load_of
from agent.analysis.step_windows import Stretch
from tests.agent.analysis.stretches import Law, bending, linear, power, stretches

LAWS: dict[str, Law] = {"linear": linear, "bending": bending, "power": power}


def _model(given: Sequence[Stretch]) -> StepTimeModel:
    """Return the law of stretches."""
    found = fit(given, [load_of(one) for one in given])
    assert found is not None
    return StepTimeModel.of(found, given[-1].time)


def _error(model: StepTimeModel, law: Law, batch: float) -> float:
    """Return the relative error of a prediction at a usual mix."""
    return (
        model.predict(2 * batch, batch, 400 * batch).estimate / law(2 * batch, batch, 400 * batch)
        - 1.0
    )


@pytest.mark.parametrize("name", LAWS)
def test_law_is_found_within_what_was_seen(name: str):
    """Within the range of loads seen, predictions are within 3 % whatever the law."""
    model = _model(stretches(LAWS[name], count=150))
    assert max(abs(_error(model, LAWS[name], batch)) for batch in (2, 5, 10, 20, 30)) < 0.03


@pytest.mark.parametrize("disturbed", [0.0, 0.1, 0.25])
@pytest.mark.parametrize("name", LAWS)
def test_interval_holds_the_mean(name: str, disturbed: float):
    """The 90 % interval of the mean step holds it in 85 % of cases and more, disturbed or not.

    Over independent draws of data, at three loads within and one beyond what was seen.
    """
    law, inside, cases = LAWS[name], 0, 0
    for seed in range(25):
        model = _model(stretches(law, seed=seed, count=40, disturbed=disturbed))
        for batch in (2.0, 8.0, 24.0, 48.0):
            load = (2 * batch, batch, 400 * batch)
            inside += model.predict(*load).low <= law(*load) <= model.predict(*load).high
            cases += 1
    assert inside / cases >= 0.85


def test_interval_is_no_wider_than_it_need_be():
    """With much calm data the interval within what was seen is a few percent, not a shrug."""
    estimate, _low, high = _model(stretches(bending, count=150)).predict(30, 15, 6000)
    assert high / estimate - 1.0 < 0.05


def test_interval_widens_beyond_what_was_seen():
    """The further beyond the largest batch seen, the wider."""
    model = _model(stretches(bending, count=60))
    widths = []
    for batch in (16.0, 32.0, 48.0, 64.0):
        estimate, _low, high = model.at_batch(batch)
        widths.append(high / estimate - 1.0)
    assert widths == sorted(widths)
    assert widths[-1] > 2 * widths[0]


def test_disturbed_stretches_are_left_out():
    """A quarter of the stretches taking half as long again moves the law by less than 4 %."""
    model = _model(stretches(linear, count=120, disturbed=0.25))
    assert abs(_error(model, linear, 16.0)) < 0.04


def test_bend_is_found_where_there_is_one():
    """A law with a square has its bend seen; its coefficient is within its interval."""
    model = _model(stretches(bending, count=150))
    assert model.bends
    assert model.terms()["bend"].low <= 1e-5 <= model.terms()["bend"].high
    assert abs(_error(model, bending, 48.0)) < 0.1


def test_no_bend_where_there_is_none():
    """A law without a square has next to none, and is right half as far again as seen."""
    assert abs(_error(_model(stretches(linear, count=150)), linear, 48.0)) < 0.08


def test_coefficients_are_within_their_intervals():
    """What is called identifiable has its true coefficient in its interval, in 85 % of cases."""
    truth = {"base": 0.01, "prefill": 2e-4, "decode": 4e-4, "kv": 1e-7, "bend": 0.0}
    inside = []
    for seed in range(40):
        terms = _model(stretches(linear, count=60, seed=seed)).terms()
        known = [name for name in TERMS if terms[name].identifiable]
        assert {"base", "prefill"} <= set(known)
        inside += [terms[name].low <= truth[name] <= terms[name].high for name in known]
    assert np.mean(inside) >= 0.85


def test_stretches_that_may_have_a_long_step_too_many_count_less():
    """Those of which a prompt at either end is a tenth are outweighed by those that last long."""
    given = stretches(linear, seed=4, noise=0.02)
    short = [
        replace(one, seconds=1.12 * one.seconds, longest=1.0, time=one.time + 1.0)
        for one in stretches(linear, seed=5, noise=0.02)
    ]
    sure = _error(_model(given), linear, 16.0)
    both = _error(_model([*given, *short]), linear, 16.0)
    unweighted = _error(
        _model([*given, *(replace(one, longest=0.0) for one in short)]), linear, 16.0
    )
    assert abs(both - sure) < 0.02
    assert unweighted - sure > 0.03


def test_terms_that_move_together_are_not_told_apart():
    """Where each sequence always holds as many tokens, neither of the two terms is claimed."""
    same = [replace(one, kv=400.0 * one.decode) for one in stretches(linear, count=120)]
    terms = _model(same).terms()
    assert not terms["kv"].identifiable
    assert not terms["decode"].identifiable


@pytest.mark.parametrize("noise", [0.01, 0.25])
def test_load_that_never_varied_is_not_identifiable(noise: float):
    """One load tells what it takes, not a law; nothing beyond it is trusted."""
    same = stretches(linear, count=60, batch=(8.0, 8.2), noise=noise)
    model = _model([replace(one, prefill=9.0, kv=3000.0) for one in same])
    assert not model.identifiable
    assert model.trusted_to_batch <= 8.2


def test_trust_ends_somewhere():
    """What is trusted reaches to the largest batch seen at least, to twice that at most."""
    model = _model(stretches(linear, count=150))
    largest = model.batch[1]
    assert largest <= model.trusted_to_batch <= FURTHEST * largest


def test_without_kv_tokens():
    """An engine that does not tell its KV tokens has a law all the same, without that term."""
    unknown = [replace(one, kv=math.nan) for one in stretches(linear, count=80)]
    model = _model(unknown)
    assert not model.terms()["kv"].identifiable
    assert abs(_error(model, linear, 16.0)) < 0.05


@pytest.mark.parametrize("count", range(FEWEST))
def test_too_few_stretches_give_no_law(count: int):
    """Nothing is said on a handful of stretches."""
    few = stretches(linear, count=count)
    assert fit(few, [load_of(one) for one in few]) is None


@given(
    st.lists(
        st.tuples(
            st.floats(1e-4, 5.0),
            st.floats(0.0, 5000.0),
            st.floats(0.0, 300.0),
            st.one_of(st.floats(0.0, 1e6), st.just(math.nan)),
        ),
        min_size=FEWEST,
        max_size=30,
    )
)
def test_any_data_give_a_finite_law(rows: list[tuple[float, float, float, float]]):
    """Whatever was observed, coefficients and intervals are finite and not negative."""
    some = [
        Stretch(
            time=float(number),
            steps=20.0,
            seconds=seconds,
            prefill=prefill,
            decode=decode,
            kv=kv,
            decode_squared=decode * decode,
        )
        for number, (seconds, prefill, decode, kv) in enumerate(rows)
    ]
    model = _model(some)
    assert min(model.coefficients) >= 0
    for batch in (0.0, 1.0, 50.0, 1000.0):
        estimate, low, high = model.predict(10.0, batch, 100.0)
        assert 0 <= low <= estimate <= high < math.inf
    assert 0 <= model.trusted_to_batch < math.inf
    assert all(math.isfinite(value) for term in model.terms().values() for value in term[:3])


def test_state_survives_json():
    """What JSON gives back predicts the same to the last digit."""
    model = _model(stretches(bending))
    again = StepTimeModel.restore(json.loads(json.dumps(model.state())))
    assert again == model
    assert again.predict(10, 5, 2000) == model.predict(10, 5, 2000)


@pytest.mark.parametrize(
    ("key", "value"),
    [("coefficients", [1.0]), ("load", ["a", 1, 1]), ("time", "x"), ("replicates", [[1.0]])],
)
def test_damaged_state_is_refused(key: str, value: object):
    """A state of another form is an error, not a law."""
    state = _model(stretches(bending)).state() | {key: value}
    with pytest.raises((TypeError, ValueError)):
        StepTimeModel.restore(state)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(2, 2.920), (3, 2.353), (5, 2.015), (10, 1.812), (30, 1.697)]
)
def test_quantile_of_student(degrees: int, expected: float):
    """The approximation is within 2 % of the tables."""
    assert quantile_t(degrees) == pytest.approx(expected, rel=0.02)


def test_one_busy_load_does_not_drown_the_others():
    """Coefficients rest on the loads, not on how often each was seen."""

    def double(prefill: float, decode: float, kv: float) -> float:
        return 2 * linear(prefill, decode, kv)

    rare = stretches(linear, count=40)
    often = stretches(double, count=400, batch=(4.0, 4.1), seed=1)
    store = StepStore()
    for one in sorted([*rare, *often], key=lambda each: each.time):
        store.add(one)
    kept = list(store.items())
    found = fit([one for _load, one in kept], [load for load, _one in kept])
    assert found is not None
    model = StepTimeModel.of(found, 0.0)
    assert abs(_error(model, linear, 24.0)) < 0.05


def test_prompts_that_were_timed_alone_tell_what_they_cost_and_not_what_is_usual():
    """Their steps tell the law of a prompt token; batch, mix and spread stay those of the rest."""
    few = stretches(linear, count=30, batch=(1.0, 2.0))
    timed = [
        replace(
            one,
            seconds=linear(300.0, 0.3, 400.0),
            prefill=300.0,
            decode=0.3,
            kv=400.0,
            decode_squared=0.4,
            by="prompts",
        )
        for one in few[:6]
    ]
    without, model = _model(few), _model([*few, *timed])
    assert (model.batch, model.load, model.spread) == (without.batch, without.load, without.spread)
    widths = [one.predict(300.0, 1.0, 400.0) for one in (without, model)]
    assert widths[1].estimate == pytest.approx(linear(300.0, 1.0, 400.0), rel=0.02)
    assert widths[1].high - widths[1].low < 0.5 * (widths[0].high - widths[0].low)


def test_minutes_that_differ_make_a_law_less_sure():
    """Stretches of a minute share what the machine did in it: they count as fewer."""
    calm = stretches(linear, count=96)
    drifting = [
        replace(one, seconds=one.seconds * (1.2 if int(one.time // 60.0) % 2 else 1.0))
        for one in calm
    ]
    steady, moved = _model(calm), _model(drifting)
    assert steady.drift < 0.03
    assert moved.drift > 0.06
    assert steady.slowness == pytest.approx(1.0, abs=0.02)
    assert 1.015 < moved.slowness < 1.15  # the law lies between the two
    parts = [one.predict(60.0, 30.0, 12_000.0, drifting=True) for one in (steady, moved)]
    assert parts[1].high - parts[1].estimate > 1.5 * (parts[0].high - parts[0].estimate)


def test_a_state_of_an_earlier_version_is_of_a_machine_that_stays_as_it_is():
    """What was kept before drift was known is read, without any."""
    state = _model(stretches(linear)).state()
    for name in ("slowness", "drift", "minutes"):
        del state[name]
    model = StepTimeModel.restore(state)
    assert (model.slowness, model.drift, model.minutes) == (1.0, 0.0, 0)
    assert model.predict(8.0, 4.0, 1600.0).low < model.estimate(8.0, 4.0, 1600.0)


def _crowded(seed: int) -> list[Stretch]:
    """Return stretches of a machine in the slow minutes of which requests pile up."""
    dice = np.random.default_rng(seed)
    found = []
    for one in stretches(linear, count=96, batch=(1.0, 4.0), seed=seed):
        slow = float(np.exp(dice.normal(0.0, 0.08)))
        decode = one.decode
        if int(one.time // 60.0) % 3 == 0:
            slow = dice.uniform(1.8, 2.6)
            decode = float(dice.choice([decode, 8.0, 16.0]))
        load = one.prefill, decode, 400.0 * decode
        seconds = slow * linear(*load)
        found.append(
            replace(one, seconds=seconds, decode=decode, kv=load[2], decode_squared=decode * decode)
        )
    return found


@pytest.mark.parametrize("seed", range(5))
def test_batches_that_were_large_because_the_machine_was_slow_are_no_bend(seed: int):
    """Where minutes differ much, what is slow in some of them is not put down to the batch."""
    model = _model(_crowded(seed))
    assert not model.bends
    assert model.drift > 0.12
    assert model.slowness > 1.1
    assert _error(model, linear, 32.0) < 1.2  # no more than the slow stretches themselves
    assert _error(model, linear, 2.0) == pytest.approx(0.0, abs=0.2)
