"""What is learned of capacity from pages of a real engine."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from math import log, nan
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.estimate import Capacity, Known, Limit, Limits
from agent.analysis.capacity.learner import CapacityLearner
from agent.analysis.capacity.queueing import latencies, reckoned
from agent.analysis.engines import WANTED
from agent.analysis.replicas import Replicas
from agent.analysis.step_time import StepTime, StepTimeResult
from agent.analysis.window import View, Window
from agent.catalog import engine
from agent.model import EMPTY_READING, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from agent.steps import Steps
from tests.agent.analysis.views import Key, view_of

RECORDINGS = Path(__file__).parents[3] / "recordings"
SLOW = Targets(time_to_first_token=3.0, inter_token_latency=0.3)
LIMITS = Limits(
    sequences=Limit(32.0, "file"),
    step_tokens=Limit(2048.0, "file"),
    kv_tokens=Limit(512.0 * 32.0, "page"),
)


@cache
def recorded(name: str) -> list[tuple[View, StepTimeResult]]:
    """Return a view every 15 s of a recording, with the law known then."""
    table = SeriesTable()
    pipeline, window, steps = Pipeline(table), Window(WANTED, span=1e9), StepTime()
    views = Replicas(window)
    found = []
    for number, tick in enumerate(RecordingReader(RECORDINGS / f"{name}.rec.gz", table).ticks(), 1):
        window.append(play(pipeline, tick, EMPTY_READING))
        if number % 15 == 0:
            for view in views.views(table).values():
                step = steps.observe(view)
                found.append((view.rows(0, len(view)), step))
    return found


def watch(
    learner: CapacityLearner,
    seen: list[tuple[View, StepTimeResult]],
    *,
    limits: Limits = LIMITS,
    targets: Targets = SLOW,
) -> Iterator[Capacity]:
    """Yield what is said at each."""
    for view, step in seen:
        yield learner.observe(view, step=step, limits=limits, targets=targets)


def known(said: Capacity) -> Known:
    """Return what is known."""
    assert said.known is not None
    return said.known


def test_nothing_is_claimed_before_the_load_has_varied():
    """At first there is no capacity, and a sentence says why."""
    first = next(watch(CapacityLearner(), recorded("vllm-capacity")))
    assert not first.identifiable
    assert "stretches" in first.reason


def test_a_real_engine_is_estimated_near_what_its_full_batch_served():
    """Once the load had varied, the stability limit is what it then did with a full batch.

    With 30 of 32 sequences at work it computed and generated 39 to 45 thousand tokens a minute.
    """
    *_before, last = watch(CapacityLearner(), recorded("vllm-capacity"))
    stability = known(last).stability.tokens_per_minute
    assert stability.low < 42_000.0 < stability.high
    assert stability.estimate == pytest.approx(42_000.0, rel=0.1)
    assert known(last).mix.output == pytest.approx(128.0, rel=0.05)


def test_capacity_never_exceeds_stability_and_has_its_parts():
    """Prompt and generated tokens add up, and intervals hold their estimate."""
    for said in watch(CapacityLearner(), recorded("vllm-capacity")):
        if said.known is None:
            continue
        rates = said.known.under_targets
        total = rates.tokens_per_minute
        parts = (rates.prompt_tokens_per_minute, rates.generation_tokens_per_minute)
        assert total.low <= total.estimate <= total.high
        assert sum(one.estimate for one in parts) == pytest.approx(total.estimate, rel=1e-4)
        assert total.estimate <= 1.001 * said.known.stability.tokens_per_minute.estimate


def test_a_full_cache_binds():
    """An engine whose KV cache holds seven requests is stable at what it then served."""
    tight = Limits(
        sequences=Limit(16.0, "file"),
        step_tokens=Limit(2048.0, "file"),
        kv_tokens=Limit(95.0 * 32.0, "page"),
    )
    *_before, last = watch(CapacityLearner(), recorded("vllm-ramp"), limits=tight)
    assert known(last).concurrent == pytest.approx(7.0, abs=1.0)
    assert known(last).stability.tokens_per_minute.estimate == pytest.approx(31_000.0, rel=0.15)


def test_the_same_pages_say_the_same():
    """Nothing depends on chance."""
    one, other = ([*watch(CapacityLearner(), recorded("vllm-capacity"))] for _ in range(2))
    assert one == other


def test_what_was_learned_survives():
    """A learner that takes over what another had kept says the same but for what chance leaves."""
    seen = recorded("vllm-capacity")
    learner = CapacityLearner()
    *_before, last = watch(learner, seen[:-1])
    again = CapacityLearner()
    again.restore(json.loads(json.dumps(learner.state())))
    before, after = (
        known(next(watch(one, seen[-1:]))).under_targets.tokens_per_minute
        for one in (learner, again)
    )
    assert abs(log(after.estimate / before.estimate)) < 0.05
    assert last.identifiable


@pytest.mark.parametrize("broken", [{}, {"mix": {}}, {"mix": {"changed": None, "slots": [{}]}}])
def test_a_damaged_state_is_refused(broken: dict[str, object]):
    """What is no state raises what it should, and changes nothing."""
    learner = CapacityLearner()
    with pytest.raises((KeyError, TypeError, ValueError)):
        learner.restore(broken)
    assert learner.state() == CapacityLearner().state()


@pytest.mark.parametrize(
    ("waiting", "usage", "kv", "source"),
    [
        (20.0, 0.5, 40_000.0, "inferred"),
        (20.0, 0.97, 40_000.0, "unknown"),
        (1.0, 0.5, 40_000.0, "unknown"),
        (20.0, 0.8, 3_000.0, "unknown"),  # two prompts of 300 tokens do not fit into what is left
    ],
)
def test_a_limit_that_nobody_tells_is_inferred_from_its_plateau(
    waiting: float, usage: float, kv: float, source: str
):
    """Where many wait while the cache has room, the batch shows the limit on sequences."""
    rows = 40
    view = view_of(
        {
            (engine.REQUESTS_RUNNING, ""): [16.0] * rows,
            (engine.REQUESTS_WAITING, ""): [waiting] * rows,
            (engine.KV_CACHE_USAGE, ""): [usage] * rows,
            (engine.STEPS, ""): [40.0 * row for row in range(rows)],
            (engine.GENERATION_TOKENS, ""): [640.0 * row for row in range(rows)],
            (engine.PROMPT_TOKENS, ""): [1800.0 * row for row in range(rows)],
            (engine.TIME_TO_FIRST_TOKEN, "_count"): [6.0 * row for row in range(rows)],
        }
    )
    limits = Limits(kv_tokens=Limit(kv, "page"))
    said = CapacityLearner().observe(view, step=StepTimeResult(), limits=limits, targets=SLOW)
    assert said.limits.sequences.source == source
    if source == "inferred":
        assert said.limits.sequences.value == 16.0


def _queueing(batch: float, rows: int, *, begins_anew: bool = False) -> dict[Key, list[float]]:
    """Return columns of an engine that runs so many requests while twenty wait."""
    counts = [float(row) for row in range(rows)]
    if begins_anew:
        counts = [100.0, *counts[:-1]]
    return {
        (engine.REQUESTS_RUNNING, ""): [batch] * rows,
        (engine.REQUESTS_WAITING, ""): [20.0] * rows,
        (engine.KV_CACHE_USAGE, ""): [0.3] * rows,
        (engine.STEPS, ""): [40.0 * count for count in counts],
        (engine.GENERATION_TOKENS, ""): [640.0 * count for count in counts],
        (engine.PROMPT_TOKENS, ""): [1800.0 * count for count in counts],
        (engine.TIME_TO_FIRST_TOKEN, "_count"): [6.0 * count for count in counts],
    }


def test_a_limit_that_was_inferred_ends_with_the_engine():
    """An engine that is started with half the sequences shows another plateau, and it counts."""
    learner, limits = CapacityLearner(), Limits(kv_tokens=Limit(40_000.0, "page"))
    first, second = _queueing(16.0, 40), _queueing(8.0, 40, begins_anew=True)
    joined = {key: [*values, *second[key][1:]] for key, values in first.items()}
    view = view_of(joined)
    found = [
        learner.observe(
            view.rows(0, end), step=StepTimeResult(), limits=limits, targets=SLOW
        ).limits.sequences.value
        for end in (40, 45, 75)
    ]
    assert found == [16.0, None, 8.0]


def test_a_page_that_is_missed_at_the_end_of_a_slot_loses_nothing():
    """The next slot begins with the last page that was seen."""
    learner = CapacityLearner()
    columns = _queueing(8.0, 31)
    columns = {key: [*values[:13], nan, nan, nan, *values[16:]] for key, values in columns.items()}
    view = view_of(columns)
    for end in (15, 31):
        learner.observe(view.rows(0, end), step=StepTimeResult(), limits=Limits(), targets=SLOW)
    kept = learner.state()["mix"]["slots"]
    assert sum(slot["generated"] for slot in kept) == 640.0 * 30
    assert (kept[0]["begin"], kept[-1]["end"]) == (view.times[0], view.times[-1])


def test_nothing_within_the_targets_may_still_be_something():
    """Where the best estimate keeps no load, the interval says how much there could be.

    A target that is made shorter and shorter is at last one that nothing can keep.
    """
    learner, seen = CapacityLearner(), recorded("vllm-capacity")
    *_before, _last = watch(learner, seen)
    found = []
    for step in range(40):
        targets = Targets(time_to_first_token=3.0, inter_token_latency=0.03 * 0.95**step)
        (said,) = watch(learner, seen[-1:], targets=targets)
        if said.known is not None:
            found.append(said.known.under_targets.tokens_per_minute)
    assert found[-1] == (0.0, 0.0, 0.0)
    unsure = [one for one in found if one.estimate == 0.0 and one.high > 0.0]
    assert unsure
    assert all(one.low == 0.0 and one.high < found[0].estimate for one in unsure)


def test_chance_in_what_was_learned_counts_less_where_a_roofline_is_believed(
    monkeypatch: pytest.MonkeyPatch,
):
    """Part of a roofline is known beforehand: its interval is narrower, with the same estimate."""
    view, step = recorded("vllm-capacity")[-1]
    assert step.evidence is not None
    # As if the machine were steady, and the line fitted badly.
    believed = replace(step, evidence=replace(step.evidence, drift=0.0, misfit=1.0))
    found = []
    for settled in (0.0, 0.5):
        monkeypatch.setattr("agent.analysis.capacity.learner._SETTLED", settled)
        widths = []
        for evidence in (believed.evidence, None):
            learner = CapacityLearner()
            *_before, _last = watch(learner, recorded("vllm-capacity")[:-1])
            now = replace(believed, evidence=evidence)
            said = learner.observe(view, step=now, limits=LIMITS, targets=SLOW)
            widths.append(known(said).stability.tokens_per_minute)
        found.append(widths)
    (whole, plain), (less, same) = found
    assert whole.estimate == less.estimate
    assert log(less.high / less.low) < 0.95 * log(whole.high / whole.low)
    assert same == plain


def test_a_machine_that_differs_from_minute_to_minute_is_said_to():
    """The more minutes differ, the wider the interval is; at last nothing is said, and why."""
    view, step = recorded("vllm-capacity")[-1]
    assert step.model is not None
    learner = CapacityLearner()
    *_before, _last = watch(learner, recorded("vllm-capacity"))
    widths = []
    for drift in (0.0, 0.1, 0.2):
        moving = replace(step, model=replace(step.model, drift=drift))
        said = learner.observe(view, step=moving, limits=LIMITS, targets=SLOW)
        low, high = known(said).stability.tokens_per_minute[1:]
        widths.append(log(high / low))
    assert widths[0] + 0.03 < widths[1] < widths[2] - 0.1
    moving = replace(step, model=replace(step.model, drift=1.5))
    said = learner.observe(view, step=moving, limits=LIMITS, targets=SLOW)
    assert not said.identifiable
    assert "150% from one minute to the next" in said.reason


def _in_turns(steps: Sequence[Steps[Capacity]], turns: Sequence[int]) -> list[Capacity]:
    """Return what comes of several estimates that take steps in an order, over and over."""
    ended: dict[int, Capacity] = {}
    while len(ended) < len(steps):
        for turn in [*turns, *range(len(steps))]:
            if turn in ended:
                continue
            try:
                next(steps[turn])
            except StopIteration as end:
                ended[turn] = end.value
    return [ended[turn] for turn in range(len(steps))]


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=3).map(sorted),
    st.lists(st.integers(0, 1), max_size=20),
    st.floats(0.1, 4.0),
    st.floats(0.02, 0.4),
)
def test_steps_say_what_is_said_at_once(
    moments: list[float], turns: list[int], first: float, inter: float
):
    """Two learners take steps in any order; each says and learns to the last bit what it would."""
    targets = Targets(time_to_first_token=first, inter_token_latency=inter)
    recordings = [recorded(name) for name in ("vllm-capacity", "vllm-ramp")]
    stepped, alone = ([CapacityLearner() for _ in recordings] for _ in range(2))
    for moment in moments:
        seen = [one[round(moment * (len(one) - 1))] for one in recordings]
        under_way = [
            one.in_steps(view, step=step, limits=LIMITS, targets=targets)
            for one, (view, step) in zip(stepped, seen, strict=True)
        ]
        at_once = [
            next(watch(one, [now], targets=targets)) for one, now in zip(alone, seen, strict=True)
        ]
        assert _in_turns(under_way, turns) == at_once
    assert [one.state() for one in stepped] == [one.state() for one in alone]


def test_no_step_reckons_more_than_one_load(monkeypatch: pytest.MonkeyPatch):
    """Others have a turn after each load: also in the first estimate and one after an hour."""
    calls = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def told(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            return real(*given, **named)

        return told

    for one in (latencies, reckoned):
        monkeypatch.setattr(f"agent.analysis.capacity.bound.{one.__name__}", counted(one))
    seen = recorded("vllm-capacity")
    learner, most, total = CapacityLearner(), 0, 0
    for view, step in [*seen[::12], seen[-1]]:
        before = calls
        for _turn in learner.in_steps(view, step=step, limits=LIMITS, targets=SLOW):
            most, total, before = max(most, calls - before), total + calls - before, calls
        most = max(most, calls - before)
    assert most == 1
    assert total > 30


def test_what_was_learned_can_be_kept_between_any_two_steps():
    """Who goes on from there says the same but for what chance leaves: no minute is lost."""
    seen = recorded("vllm-capacity")
    learner = CapacityLearner()
    *_before, _last = watch(learner, seen[:-8])
    view, step = seen[-1]
    states = [
        learner.state() for _turn in learner.in_steps(view, step=step, limits=LIMITS, targets=SLOW)
    ]
    whole = learner.state()
    assert len(states) > 10
    for state in states[:: len(states) // 5]:
        again = CapacityLearner()
        again.restore(json.loads(json.dumps(state)))
        assert known(next(watch(again, seen[-1:]))).under_targets.tokens_per_minute
        kept = again.state()
        assert kept["mix"]["slots"] == whole["mix"]["slots"]
        assert len(kept["calibration"]["compared"]) == len(whole["calibration"]["compared"])


def test_the_target_between_tokens_may_be_about_gaps():
    """Which of the two counts may be said at any time; what is learned is about requests."""
    seen = recorded("vllm-capacity")
    learners = [CapacityLearner(), CapacityLearner(), CapacityLearner(criterion="gap")]
    learners[1].criterion = "gap"
    tight = Targets(time_to_first_token=30.0, inter_token_latency=0.06)
    requests, gaps, same = ([*watch(one, seen[::8], targets=tight)][-1] for one in learners)
    assert gaps == same
    assert (
        known(gaps).under_targets.tokens_per_minute.estimate
        < known(requests).under_targets.tokens_per_minute.estimate
    )
    assert len({json.dumps(one.state()["calibration"]) for one in learners}) == 1
