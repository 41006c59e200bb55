"""An engine that loads is told from one that hangs by the age of its process."""

import pytest

from agent.analysis.deaths import Deaths
from agent.model import Event
from tests.fakes.samples import samples
from tests.fakes.watched import START, Watched

LABELS = '{engine="vllm",instance_name="chat"}'


class Engine:
    """An engine that served for half a minute from a process that had begun an hour before."""

    def __init__(self) -> None:
        self.host = Watched()
        self.deaths = Deaths()
        self.shown: dict[str, float] = {}
        self.host.processes("10", began=START - 3600)
        self.host.page(REQUESTS_RUNNING=1, STEPS=5, START_TIME=START - 3600)
        assert self.pass_by(30) == []

    def pass_by(self, seconds: int) -> list[Event]:
        """Let time pass; return what was told."""
        events: list[Event] = []
        for _second in range(seconds):
            reading = self.deaths.observe(self.host.frame())
            events += reading.events
            self.shown = samples(self.host.table, reading)
        return events

    def end(self) -> None:
        """Let all of its processes be gone."""
        self.host.silent()
        self.host.processes()

    def begin(self, pid: str) -> None:
        """Let another process have begun just now."""
        self.host.processes(pid, began=self.host.time)

    def of(self, name: str) -> float | None:
        """Return a number that is told of it."""
        return self.shown.get(f"engine_{name}_seconds{LABELS}")


def test_a_process_that_began_after_the_last_answer_loads() -> None:
    """For how long is told until it answers; then how long it took, for the next time."""
    engine = Engine()
    assert engine.of("silent") is None
    engine.end()
    engine.pass_by(40)
    assert (engine.of("silent"), engine.of("loading")) == (40.0, None)
    engine.begin("20")
    engine.pass_by(60)
    assert engine.of("loading") == 59.0
    assert engine.of("silent") == 100.0
    engine.host.page(STEPS=0, START_TIME=engine.host.time - 60)
    engine.pass_by(1)
    assert (engine.of("silent"), engine.of("loading"), engine.of("startup")) == (None, None, 60.0)


def test_a_process_that_served_and_is_silent_does_not_load() -> None:
    """It is as old as its last answer, however long it is silent."""
    engine = Engine()
    engine.host.silent("gave no answer within 2s")
    events = engine.pass_by(200)
    assert engine.of("silent") == 200.0
    assert engine.of("loading") is None
    assert [one.kind for one in events] == ["engine_hung"]


@pytest.mark.parametrize("step", [-7200, 7200])
def test_a_clock_that_is_set_makes_no_process_younger_or_older(step: int) -> None:
    """One that hangs does not load for it, and one that loads goes on to."""
    engine = Engine()
    engine.host.silent("gave no answer within 2s")
    engine.pass_by(5)
    engine.host.time += step
    assert [one.kind for one in engine.pass_by(40)] == ["engine_hung"]
    assert engine.of("loading") is None
    engine.end()
    engine.pass_by(20)
    engine.begin("20")
    engine.pass_by(10)
    engine.host.time += step
    engine.pass_by(10)
    assert engine.of("loading") == 19.0


def test_an_engine_that_is_replaced_at_once_died_and_does_not_hang() -> None:
    """Where a supervisor starts another within a tick, each look shows a process."""
    engine = Engine()
    engine.host.silent()
    engine.begin("20")
    events = engine.pass_by(300)
    assert [one.kind for one in events] == ["engine_died"]
    assert "its process was gone as soon as its page" in events[0].message
    assert engine.of("loading") == 299.0
    engine.host.page(STEPS=0, START_TIME=engine.host.time - 300)
    assert [one.kind for one in engine.pass_by(2)] == ["engine_recovered"]


def test_an_engine_that_was_never_seen_to_answer() -> None:
    """An agent that begins beside an engine that loads tells its age, and no silence."""
    host, deaths = Watched(), Deaths()
    host.processes("10", began=START - 90)
    host.silent()
    shown = samples(host.table, deaths.observe(host.frame()))
    assert shown[f"engine_loading_seconds{LABELS}"] == 90.0
    assert f"engine_silent_seconds{LABELS}" not in shown


@pytest.mark.parametrize(("failures", "loading"), [({"processes": "no"}, None), ({}, 4.0)])
def test_processes_that_cannot_be_read_do_not_load(
    failures: dict[str, str], loading: float | None
) -> None:
    """What is said of them then is of before, or nothing."""
    engine = Engine()
    engine.end()
    engine.pass_by(20)
    engine.begin("20")
    engine.host.failures |= failures
    engine.pass_by(5)
    assert engine.of("loading") == loading
