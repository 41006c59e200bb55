"""The analysis of many engines: one at a time, so that nothing waits for all of them."""

from collections.abc import Iterable
from itertools import chain, pairwise

import pytest

from agent.analysis.engines import EVERY, EngineAnalysis
from agent.analysis.guard import Guard
from agent.analysis.replica_state import ReplicaState
from agent.analysis.window import View
from agent.catalog import agent as agent_catalog
from agent.catalog import engine
from agent.catalog.verdict import Cause
from agent.model import Event, Frame, Reading, SeriesTable
from agent.pipeline import Pipeline
from agent.steps import Steps
from tests.agent.analysis.views import START

ENGINES = 60


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that is told whenever a replica is judged."""
    found: list[str] = []
    observe = ReplicaState.observe

    def told(state: ReplicaState, *given: object, **named: object) -> Steps[Iterable[Event]]:
        found.append(state.replica.instance_name)
        return observe(state, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ReplicaState, "observe", told)
    return found


def _frame(table: SeriesTable, second: int) -> Frame:
    """Return a frame in which many engines have nothing to do."""
    ids = [
        table.intern(metric, ("vllm", f"engine-{number}", "m", "0"))
        for number in range(ENGINES)
        for metric in (engine.REQUESTS_RUNNING, engine.REQUESTS_WAITING)
    ]
    return Frame(START + second, table, ids, [0.0] * len(ids))


def _each_step(steps: Steps[Reading], judged: list[str]) -> tuple[list[int], Reading]:
    """Return how many replicas each step judged, and what came of all."""
    many: list[int] = []
    while True:
        before = len(judged)
        try:
            next(steps)
        except StopIteration as end:
            many.append(len(judged) - before)
            reading: Reading = end.value
            return many, reading
        many.append(len(judged) - before)


def test_no_step_judges_more_than_one_engine(judged: list[str]) -> None:
    """Sixty engines that were found at once are judged in sixty steps, then one at a tick."""
    analysis, table = EngineAnalysis(), SeriesTable()
    many, _reading = _each_step(analysis.in_steps(_frame(table, 0)), judged)
    assert max(many) == 1
    assert len(judged) == ENGINES
    assert ENGINES > EVERY
    for second in range(1, ENGINES + 1):
        many, _reading = _each_step(analysis.in_steps(_frame(table, second)), judged)
        assert sum(many) == 1
    assert sorted(judged) == sorted(2 * [f"engine-{number}" for number in range(ENGINES)])


def test_no_step_does_more_than_one_long_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have a turn between the fit of the step, the forecast, and each look for a shift."""
    done: list[str] = []
    run = Guard.run

    def told(guard: Guard, part: str, *given: object, **named: object) -> object:
        done.append(part)
        return run(guard, part, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Guard, "run", told)
    monkeypatch.setattr(
        "agent.analysis.replica_state.find_shift", lambda _view, _quantity: done.append("shift")
    )
    long = ("step_time", "latency", "kv_forecast", "verdict", "samples", "shift")
    analysis, seen = EngineAnalysis(), list[str]()
    for frame in _frames_of_one([1.0] * 20, [2.0] * 20):
        for _turn in analysis.in_steps(frame):
            assert sum(map(done.count, long)) <= 1
            seen += done
            done.clear()
    assert set(long) <= set(seen)


def test_the_pipeline_gives_a_turn_between_engines(judged: list[str]) -> None:
    """Whoever drives the pipeline may stop after each engine."""
    table = SeriesTable()
    given = _frame(table, 0)
    pipeline = Pipeline(table, analyses=[EngineAnalysis()])
    steps = pipeline.in_steps(given.time, (), Reading(given.ids, given.values))
    seen = [0, *(len(judged) for _turn in steps)]
    assert seen[-1] == ENGINES
    assert all(after - before <= 1 for before, after in pairwise(seen))


class _Broken:
    """An analysis that fails in the middle."""

    def observe(self, frame: Frame) -> Reading:
        """Never asked."""
        raise NotImplementedError

    def in_steps(self, frame: Frame) -> Steps[Reading]:
        """Fail at the second step."""
        yield
        raise ValueError(frame.time)


def test_an_analysis_that_fails_in_the_middle_is_left_out() -> None:
    """The frame comes without it, and says so."""
    frame = Pipeline(SeriesTable(), analyses=[_Broken()]).conclude(START, (), Reading((), ()))
    (event,) = frame.events
    assert isinstance(event, Event)
    assert (event.kind, event.labels["analysis"]) == ("analysis_failed", "_Broken")


@pytest.mark.parametrize(("count", "every"), [(3, 14), (60, 59)])
def test_every_engine_has_its_estimate_in_turn(
    monkeypatch: pytest.MonkeyPatch, count: int, every: int
) -> None:
    """Capacity is worked out every 15 s of each, of one engine a second, also of those just found.

    A tick that is a little longer than usual does not bring two.
    """
    found = _estimated(monkeypatch)
    analysis, table = EngineAnalysis(), SeriesTable()
    made: list[list[str]] = []
    for second in range(3 * every + count):
        frame, late = _frame(table, second), 0.05 if second % 3 else 0.0
        kept = 2 * count
        analysis.observe(Frame(frame.time + late, table, frame.ids[:kept], frame.values[:kept]))
        made.append(found[:])
        found.clear()
    assert max(map(len, made)) == 1
    assert [*chain.from_iterable(made[:count])] == [f"engine-{number}" for number in range(count)]
    assert sum(map(len, made)) - count == pytest.approx(3 * count, abs=count)


def test_rare_ticks_estimate_as_many_engines_as_keep_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ticks are 15 s apart each brings an estimate of all engines; after a pause no more."""
    found = _estimated(monkeypatch)
    analysis, table = EngineAnalysis(), SeriesTable()
    for second in (0, 15, 30, 45, 3600):
        frame = _frame(table, second)
        analysis.observe(Frame(frame.time, table, frame.ids[:8], frame.values[:8]))
        assert len(found) == (4 if second else 1)
        found.clear()


def _estimated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that is told whenever an estimate of a replica begins."""
    found: list[str] = []

    def estimate(state: ReplicaState, view: View, *_given: object, **_named: object) -> Steps[None]:
        found.append(state.replica.instance_name)
        state._capacity._note(float(view.times[-1]))
        yield

    monkeypatch.setattr(ReplicaState, "estimate", estimate)
    return found


def test_rare_ticks_judge_every_engine(judged: list[str]) -> None:
    """Where ticks are 15 s apart each of them judges all engines: five would be over a minute."""
    analysis, table = EngineAnalysis(), SeriesTable()
    for second in (0, 15, 30):
        frame = _frame(table, second)
        analysis.observe(Frame(frame.time, table, frame.ids[:6], frame.values[:6]))
        assert sorted(judged) == ["engine-0", "engine-1", "engine-2"]
        judged.clear()


def test_a_forecast_that_stirs_is_drawn_between_turns_one_at_a_tick(
    judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One engine that may soon be full is foreseen at every tick, two of them in turns, no other.

    Everyone keeps the turn in which it is judged.
    """
    stirring = {"engine-0"}
    foreseen: list[str] = []

    def foresee(state: ReplicaState, view: View) -> None:
        foreseen.append(state.replica.instance_name)
        state.foreseen_at = float(view.times[-1])

    monkeypatch.setattr(ReplicaState, "foresee", foresee)
    monkeypatch.setattr(
        ReplicaState, "stirs", property(lambda state: state.replica.instance_name in stirring)
    )
    analysis, table = EngineAnalysis(), SeriesTable()
    for second in range(2 * EVERY):
        if second == EVERY:
            judged.clear()
            assert foreseen == 3 * ["engine-0"]  # two of five were turns of its own
            foreseen.clear()
            stirring.add("engine-1")
        given = _frame(table, second)
        analysis.observe(Frame(given.time, table, given.ids[:6], given.values[:6]))
        assert len(foreseen) <= second % EVERY + 1
    assert sorted(judged) == ["engine-0", "engine-1", "engine-2"]
    assert set(foreseen) == stirring
    assert abs(foreseen.count("engine-0") - foreseen.count("engine-1")) <= 1


def _frames_of_one(up: list[float], running: list[float | None]) -> list[Frame]:
    """Return the frames of an engine that makes a token each second in which it runs something.

    Args:
        up: whether the last look at its page succeeded, each second.
        running: what is shown, None where its page is not shown any more.
    """
    table, frames, tokens = SeriesTable(), [], 0.0
    replica = ("vllm", "chat", "m", "0")
    for second, (answered, shown) in enumerate(zip(up, running, strict=True)):
        given = {table.intern(agent_catalog.ENGINE_UP, replica[:2]): answered}
        if shown is not None:
            tokens += shown
            given |= {
                table.intern(engine.REQUESTS_RUNNING, replica): shown,
                table.intern(engine.REQUESTS_WAITING, replica): 0.0,
                table.intern(engine.GENERATION_TOKENS, replica): tokens,
            }
        frames.append(Frame(START + second, table, [*given], [*given.values()]))
    return frames


def test_a_page_that_is_held_says_nothing_new() -> None:
    """Nine seconds after its last page a frozen engine is not idle; without a page it is unknown.

    Its last page happened to show no request. While looks fail that page is shown on for a while.
    """
    analysis = EngineAnalysis()
    busy, held, gone = 20, 9, 6
    running = [2.0] * busy + [0.0] * held + [None] * gone
    seen = []
    for frame in _frames_of_one([1.0] * (busy + 1) + [0.0] * (held - 1 + gone), running):
        analysis.observe(frame)
        seen.append(analysis.states()[0].verdict.cause)
    assert set(seen[busy : busy + held]) == {Cause.HEALTHY}
    assert seen[-1] is Cause.UNKNOWN


def test_an_engine_that_answers_with_nothing_to_do_is_idle() -> None:
    """The same numbers from a page that is read each second."""
    analysis = EngineAnalysis()
    for frame in _frames_of_one([1.0] * 32, [2.0] * 20 + [0.0] * 12):
        analysis.observe(frame)
    assert analysis.states()[0].verdict.cause is Cause.IDLE


def _served(table: SeriesTable, second: int, model: str | None) -> Frame:
    """Return a frame of an engine that serves a model, or of which nothing is shown for None."""
    given = {table.intern(agent_catalog.ENGINE_UP, ("vllm", "chat")): float(model is not None)}
    if model is not None:
        for metric in (engine.REQUESTS_RUNNING, engine.REQUESTS_WAITING):
            given[table.intern(metric, ("vllm", "chat", model, "0"))] = 0.0
    return Frame(START + second, table, [*given], [*given.values()])


def test_a_model_in_whose_place_another_is_served_is_not_told_any_more() -> None:
    """From the first page of the other on, and also while that cannot be read, until it is back.

    Whoever counts replicas would count two. One that does not answer is no such replica.
    """
    analysis, table = EngineAnalysis(), SeriesTable()
    told = []
    for second, model in enumerate(["old", "old", None, None, "new", "new", None, "new", "old"]):
        reading = analysis.observe(_served(table, second, model))
        named = {dict(table[one].label_pairs()).get("model_name") for one in reading.ids} - {None}
        known = {state.replica.model_name for state in analysis.states()}
        assert known == {state.replica.model_name for state, _view in analysis.watched()}
        assert known == {one["model_name"] for one in analysis.as_json()["replicas"]}
        assert known == {one["model_name"] for one in analysis.capacity_json()["replicas"]}
        assert named <= known
        told.append("".join(sorted(known)))
    assert told == ["old", "old", "old", "old", "new", "new", "new", "new", "old"]


def test_what_was_learned_of_a_model_that_comes_back_soon_is_there_again() -> None:
    """It is only not told meanwhile."""
    analysis, table = EngineAnalysis(), SeriesTable()
    analysis.observe(_served(table, 0, "old"))
    (before,) = analysis.states()
    analysis.observe(_served(table, 1, "new"))
    analysis.observe(_served(table, 2, "old"))
    assert [*analysis.states()] == [before]
