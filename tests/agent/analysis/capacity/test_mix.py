"""What requests look like, and when they look otherwise."""

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.analysis.capacity.mix import MixTracker
from agent.analysis.capacity.slot import Slot, Spread

EDGES = np.geomspace(1.0, 1e5, 200)


def spread(values: list[float]) -> Spread:
    """Return observations in fine bins."""
    weights, _edges = np.histogram(values, bins=EDGES)
    return Spread(np.sqrt(EDGES[1:] * EDGES[:-1]), weights.astype(float))


def slot(
    number: int,
    dice: random.Random,
    *,
    prompt: float = 300.0,
    output: float = 100.0,
    requests: int = 20,
) -> Slot:
    """Return a quarter of a minute with requests of about these lengths."""
    prompts = [prompt * dice.lognormvariate(0.0, 0.4) for _ in range(requests)]
    outputs = [output * dice.lognormvariate(0.0, 0.4) for _ in range(requests)]
    return Slot(
        begin=15.0 * number,
        end=15.0 * number + 15.0,
        requests=float(requests),
        prompt=sum(prompts),
        cached=0.0,
        generated=sum(outputs),
        running=(8.0, 8.0),
        held=np.array([15.0, 120.0, 120.0 * 350.0, 960.0, 960.0 * 350.0]),
        gaps=(0.0, 0.0),
        queued=(0.0, 15.0),
        plateau=0.0,
        usage=0.0,
        lengths=(spread(prompts), spread(outputs)),
        times=(None, None),
    )


def test_means_are_those_of_the_requests():
    """Lengths, tokens held and the load come out as they went in."""
    tracker, dice = MixTracker(), random.Random(1)
    for number in range(20):
        tracker.add(slot(number, dice))
    seen = tracker.seen()
    assert seen is not None
    usual = np.exp(0.5 * 0.4**2)
    assert seen.prompt == pytest.approx(300.0 * usual, rel=0.1)
    assert seen.shape.output == pytest.approx(100.0 * usual, rel=0.1)
    assert seen.held == pytest.approx(350.0)
    assert seen.requests == 400.0
    assert seen.rates[0] <= 60.0 * 20 * 432.0 / 15.0 <= seen.rates[1] * 1.2


def test_few_requests_are_no_mix():
    """Fewer than thirty requests say nothing."""
    tracker = MixTracker()
    tracker.add(slot(0, random.Random(1), requests=20))
    assert tracker.seen() is None


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["prompt", "output"]), st.floats(1.8, 5.0))
def test_another_mix_is_noticed_within_two_minutes(seed: int, which: str, factor: float):
    """When lengths nearly double, what was before is forgotten, and the means are the new ones."""
    tracker, dice = MixTracker(), random.Random(seed)
    for number in range(30):
        tracker.add(slot(number, dice))
    usual = {"prompt": 300.0, "output": 100.0}
    for number in range(30, 38):
        tracker.add(slot(number, dice, **{which: factor * usual[which]}))
    seen = tracker.seen()
    assert seen is not None
    assert tracker.changed == pytest.approx(450.0, abs=31.0)
    found = seen.prompt if which == "prompt" else seen.shape.output
    assert found == pytest.approx(factor * usual[which] * 1.083, rel=0.15)


def test_the_same_mix_goes_on_for_an_hour():
    """Chance alone is no change, in more than three hours; what is an hour old is forgotten."""
    tracker, dice = MixTracker(), random.Random(7)
    for number in range(800):
        tracker.add(slot(number, dice))
    assert tracker.changed is None
    assert 3500.0 < tracker.slots()[-1].end - tracker.slots()[0].begin < 3630.0


def test_a_kept_mix_says_the_same():
    """What was kept has the same means as before, and damaged numbers are refused."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(12):
        tracker.add(slot(number, dice))
    again = MixTracker()
    state = tracker.state()
    again.restore(state)
    before, after = tracker.seen(), again.seen()
    assert before is not None
    assert after is not None
    assert after.prompt == pytest.approx(before.prompt)
    assert after.shape.output == pytest.approx(before.shape.output)
    assert after.held == pytest.approx(before.held)
    state["slots"][0]["held"] = [1.0]
    with pytest.raises(ValueError, match="five sums"):
        again.restore(state)


def _alike(scatter: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the sums of a quarter of a minute with twelve requests, of such a scatter each."""
    mean = 200.0
    squares = 12 * mean**2 + 11.5 * scatter * mean**2  # as of a long time, of which this is a part
    one = [12.0, 12.0, 12 * mean, squares]
    return np.array([one, one])


@pytest.mark.parametrize("scatter", [0.02, 0.5])
def test_lengths_scatter_as_they_did_second_by_second(scatter: float):
    """How wide lengths are is not what the buckets of a histogram make of it, kept or not."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(12):
        tracker.add(replace(slot(number, dice), sums=_alike(scatter)))
    again = MixTracker()
    again.restore(tracker.state())
    for one in (tracker, again):
        seen = one.seen()
        assert seen is not None
        assert seen.shape.prompt_scatter == pytest.approx(scatter, rel=0.1)
        assert seen.shape.scatter == pytest.approx(scatter, rel=0.1)
        assert seen.shape.prompt == pytest.approx(seen.prompt)


def test_a_mix_of_an_earlier_version_has_the_lengths_of_its_histograms():
    """Without sums what was kept is read, and sums of another form are refused."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(12):
        tracker.add(slot(number, dice))
    state = tracker.state()
    before, again = tracker.seen(), MixTracker()
    for kept in state["slots"]:
        del kept["sums"]
    again.restore(state)
    after = again.seen()
    assert before is not None
    assert after is not None
    assert after.shape.scatter == pytest.approx(before.shape.scatter)
    state["slots"][0]["sums"] = [1.0]
    with pytest.raises(ValueError, match="four sums"):
        again.restore(state)


def test_a_kept_mix_grows_old_as_it_would_have():
    """After a restart what is older than an hour goes as before, ten minutes late at most."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(240):
        tracker.add(slot(number, dice))
    again = MixTracker()
    again.restore(tracker.state())
    for number in range(240, 360):
        tracker.add(slot(number, dice))
        again.add(slot(number, dice))
    before, after = tracker.seen(), again.seen()
    assert before is not None
    assert after is not None
    assert after.since == pytest.approx(before.since, abs=601.0)
    assert after.requests == pytest.approx(before.requests, rel=0.2)


def test_a_kept_mix_knows_the_loads_that_were_seen():
    """The lowest and the highest load of half a minute are those of before, and go with it."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(40):
        tracker.add(slot(number, dice, requests=60 if number in {10, 11} else 20))
    again = MixTracker()
    again.restore(tracker.state())
    before, after = tracker.seen(), again.seen()
    assert before is not None
    assert after is not None
    assert before.rates[1] > 2.0 * before.rates[0]
    assert after.rates == pytest.approx(before.rates)
    for number in range(40, 330):
        again.add(slot(number, dice))
    later = again.seen()
    assert later is not None
    assert later.rates[1] < 0.7 * before.rates[1]


def test_what_an_older_version_kept_is_taken_over():
    """A single slot, with numbers that nobody reads any more and without loads."""
    tracker, dice = MixTracker(), random.Random(3)
    for number in range(12):
        tracker.add(slot(number, dice))
    state = tracker.state()
    (kept,) = state["slots"]
    again = MixTracker()
    again.restore({"changed": None, "slots": [{**kept, "finished": 3.0, "output": 5.0}]})
    found = again.seen()
    assert found is not None
    assert found.prompt == pytest.approx(330.0, rel=0.1)


def test_a_clock_that_was_set_back_keeps_no_more_than_ever():
    """What lies in the future is forgotten: else nothing would grow old until it came."""
    tracker, dice = MixTracker(), random.Random(1)
    tracker.add(slot(100_000, dice))
    for number in range(10):
        tracker.add(slot(number, dice))
    assert len(tracker.slots()) == 10
    assert tracker.changed is None
