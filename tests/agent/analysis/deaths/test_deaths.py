"""Engines that die, hang or fail to start are explained by what was seen of it, once each."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.deaths import Deaths, Ending
from agent.analysis.deaths.life import HANG, STALL
from agent.catalog import engine
from agent.model import EMPTY_READING, Event, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from tests.agent.analysis.deaths.seen import ended, log, serving, told, unit, xid
from tests.fakes.samples import samples
from tests.fakes.watched import CHAT, Watched

CRASH = Path(__file__).parents[3] / "recordings" / "vllm-enginecrash.rec.gz"


def test_a_moment_without_an_answer_is_no_death():
    """An engine that misses some looks and answers again has not died."""
    host, deaths = serving()
    host.silent("gave no answer within 2s")
    events = told(deaths, host.frames(int(HANG) - 1))
    host.page(STEPS=1000)
    events += told(deaths, host.frames(30))
    assert events == []


def test_a_restart_between_two_looks_is_a_death():
    """An engine that was restarted has ended before, for the reason that its log gives."""
    host, deaths = serving()
    told(deaths, [host.frame(log("fatal", "EngineDeadError", host.time))])
    host.page(START_TIME=host.time - 1, STEPS=0)
    events = told(deaths, host.frames(3))
    assert [(one.kind, one.labels["cause"]) for one in events] == [("engine_died", "engine_error")]
    assert "it was restarted" in events[0].message


def test_a_process_that_does_not_answer_hangs():
    """A server that is there and silent hangs; when it answers again, that ends."""
    host, deaths = serving()
    host.silent("gave no answer within 2s")
    events = told(deaths, host.frames(40))
    assert [(one.kind, one.labels["cause"]) for one in events] == [("engine_hung", "hung")]
    assert "asked, it gave: gave no answer within 2s" in events[0].message
    host.page(STEPS=1000)
    events = told(deaths, host.frames(3))
    assert [one.kind for one in events] == ["engine_recovered"]
    assert "after 40 s" in events[0].message


def test_who_ends_a_process_that_hangs_does_not_say_why_it_hung():
    """The operator who kills it, and a better reason that comes later, are told apart."""
    host, deaths = serving()
    host.silent("gave no answer within 2s")
    assert [one.kind for one in told(deaths, host.frames(40))] == ["engine_hung"]
    assert told(deaths, [host.frame(ended("server", host.time, signal="KILL"))]) == []
    events = told(deaths, [host.frame(xid(host.time))])
    assert [one.kind for one in events] == ["engine_death_explained"]


def test_an_engine_that_is_started_again_has_recovered():
    """A new process that answers ends the trouble, also where its start was seen."""
    host, deaths = serving()
    host.silent()
    host.processes()
    fell = host.time
    told(deaths, host.frames(20))
    host.processes("20")
    assert told(deaths, host.frames(60)) == []
    host.page(START_TIME=host.time, STEPS=0)
    events = told(deaths, host.frames(3))
    assert [one.kind for one in events] == ["engine_recovered"]
    assert events[0].time - fell == 80


def test_an_engine_that_answers_and_does_not_move_hangs():
    """Requests without a step for a minute are a hang, for the reason that the log gives."""
    host, deaths = serving()
    quiet = told(deaths, host.frames(int(STALL) - 1))
    events = told(deaths, [host.frame(log("cuda_oom", "CUDA out of memory", host.time))])
    events += told(deaths, host.frames(5))
    assert quiet == []
    assert [(one.kind, one.labels["cause"]) for one in events] == [("engine_hung", "cuda_oom")]
    assert "it answers, and has made no step for" in events[0].message
    host.page(STEPS=1000)
    assert [one.kind for one in told(deaths, host.frames(2))] == ["engine_recovered"]


@pytest.mark.parametrize(
    "values", [{"REQUESTS_RUNNING": 0, "REQUESTS_WAITING": 0}, {"STEPS": None}]
)
def test_an_idle_engine_and_one_that_counts_no_steps_do_not_hang(values: dict[str, float | None]):
    """Without requests there need be no steps, and what is not counted is not missed."""
    host, deaths = serving()
    for name, value in values.items():
        if value is None:
            host.set(engine.STEPS, None, *CHAT, "m", "")
        else:
            host.page(**{name: value})
    assert told(deaths, host.frames(300)) == []


def test_a_start_that_fails():
    """A process that ends before its page ever answered is a start that failed, with its reason."""
    host, deaths = Watched(), Deaths()
    host.processes("10")
    host.silent()
    told(deaths, host.frames(200))
    event = log("cuda_oom", "ValueError: No available memory for the cache blocks", host.time)
    told(deaths, [host.frame(event)])
    host.processes()
    events = told(deaths, host.frames(30))
    assert [(one.kind, one.labels["cause"]) for one in events] == [("engine_died", "cuda_oom")]
    assert events[0].labels["phase"] == "startup"
    assert "failed to start" in events[0].message
    assert "requests" not in events[0].labels
    host.processes("20")
    told(deaths, host.frames(20))
    host.processes()
    events = told(deaths, host.frames(30))
    assert [one.labels["cause"] for one in events] == ["start_failed"]


def test_starts_that_fail_between_two_looks_are_told_by_the_unit():
    """A unit that starts and fails faster than processes are looked for is told each time."""
    host, deaths = serving()
    host.silent()
    host.processes()
    told(deaths, host.frames(30))
    for _again in range(2):
        exited = unit("exited", host.time, code="exited", status="1")
        events = told(deaths, [host.frame(exited), *host.frames(9)])
        assert [one.labels["phase"] for one in events] == ["startup"]


def test_processes_that_cannot_be_read_are_not_gone():
    """While the source of processes is broken, nobody is declared dead for lack of processes."""
    host, deaths = serving()
    host.silent("gave no answer within 2s")
    host.processes()
    host.failures["processes"] = "hangs"
    assert told(deaths, host.frames(int(HANG) - 1)) == []


def test_a_step_of_the_clock_is_no_wait():
    """A clock that is set does not make an engine hang, in either direction."""
    host, deaths = serving()
    told(deaths, host.frames(3))
    host.time += 3600
    told_after = told(deaths, host.frames(2))
    host.page(STEPS=1000)
    told_after += told(deaths, [host.frame()])
    host.silent("gave no answer within 2s")
    told_after += told(deaths, host.frames(2))
    host.time -= 7200
    told_after += told(deaths, host.frames(20))
    assert told_after == []


def test_rarer_ticks_are_no_steps_of_the_clock():
    """After a reload with a tick of ten times the length, seconds count as before."""
    host, deaths = serving()
    host.silent("gave no answer within 2s")
    begun, events = host.time, []
    while not events and host.time < begun + 3 * HANG:
        host.time += 9.0
        events = told(deaths, [host.frame()])
    assert [one.kind for one in events] == ["engine_hung"]
    assert host.time - begun <= HANG + 20.0


def test_an_engine_that_was_never_up_has_not_died():
    """An address that never answered, with no process seen, is not dead: it may never have run."""
    host, deaths = Watched(), Deaths()
    host.silent()
    assert told(deaths, host.frames(300)) == []


@pytest.mark.parametrize("name", ["vllm-ramp", "vllm-capacity", "vllm-aborts", "llama-ramp"])
def test_engines_that_live_have_no_end(name: str):
    """Real engines under load, saturated, with clients that go away: none of them dies or hangs."""
    table = SeriesTable()
    deaths = Deaths()
    pipeline = Pipeline(table, analyses=(deaths,))
    recording = CRASH.with_name(f"{name}.rec.gz")
    for tick in RecordingReader(recording, table).ticks():
        play(pipeline, tick, EMPTY_READING)
    assert list(deaths.recent) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["page", "silent", "gone", "back", "restart", "event", "step"]),
            st.integers(0, 80),
        ),
        max_size=12,
    )
)
def test_whatever_happens_counts_agree(moves: list[tuple[str, int]]):
    """Each counted ending is one event; what recovers had ended; nothing is told twice in a row."""
    host, deaths = serving()
    events: list[Event] = []
    for move, length in moves:
        more: list[Event] = []
        match move:
            case "page":
                host.page(STEPS=host.time)
            case "silent":
                host.silent()
            case "gone":
                host.processes()
            case "back":
                host.processes("20")
            case "restart":
                host.page(START_TIME=host.time, STEPS=0)
            case "event":
                more = [log("fatal", f"Error {host.time}", host.time)]
            case _:
                host.time += 500 - 10 * length
        events += told(deaths, host.frames(length + 1, more))
    reading = deaths.observe(host.frame())
    kinds = [event.kind for event in [*events, *reading.events]]
    ended = kinds.count("engine_died") + kinds.count("engine_hung")
    shown = samples(host.table, reading)
    assert ended == sum(value for name, value in shown.items() if name.startswith("engine_deaths"))
    assert kinds.count("engine_recovered") <= ended
    assert all(isinstance(one, Ending) and one.as_json()["sentence"] for one in deaths.recent)
