"""Why an engine died, by the strongest of what was seen of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.analysis.deaths import Cause, Deaths
from agent.analysis.deaths.life import SEARCH, SETTLE
from agent.catalog import incident
from agent.model import EMPTY_READING, Event, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from tests.agent.analysis.deaths.seen import ended, killed, log, oom, serving, told, unit, xid
from tests.fakes.samples import samples
from tests.fakes.watched import CHAT, START

CRASH = Path(__file__).parents[3] / "recordings" / "vllm-enginecrash.rec.gz"

EVIDENCE: list[tuple[Cause, Callable[[float], list[Event]], str]] = [
    (Cause.OOM_KILL, lambda t: [oom("11", t), killed(t)], "kernel killed"),
    (Cause.OOM_KILL, lambda t: [unit("oom_killed", t)], "chat.service"),
    (Cause.GPU_ERROR, lambda t: [log("fatal", "CUDA error", t), xid(t)], "XID 79"),
    (Cause.CUDA_OOM, lambda t: [xid(t, "45"), log("cuda_oom", "Tried 2 GiB", t)], "2 GiB"),
    (Cause.ENGINE_ERROR, lambda t: [log("fatal", "Oops", t), log("stopping", "x", t)], "Oops"),
    (Cause.STOPPED, lambda t: [unit("stopping", t), killed(t)], "told to stop"),
    (Cause.STOPPED, lambda t: [unit("exited", t, code="killed", status="TERM")], "SIGTERM"),
    (Cause.STOPPED, lambda t: [log("stopping", "Shutting down", t)], "Shutting down"),
    (Cause.CRASHED, lambda t: [unit("exited", t, code="dumped", status="SEGV")], "SIGSEGV"),
    (Cause.CRASHED, lambda t: [unit("exited", t, code="exited", status="1")], "exit status 1"),
    (Cause.KILLED, lambda t: [killed(t)], "SIGKILL"),
    (Cause.KILLED, lambda t: [ended("server", t, signal="KILL")], "server process (11) was ended"),
    (Cause.STOPPED, lambda t: [ended("server", t, signal="TERM")], "SIGTERM"),
    (Cause.STOPPED, lambda t: [ended("server", t, status="0")], "exit status 0"),
    (Cause.CRASHED, lambda t: [ended("core", t, signal="SEGV")], "core process (11) was ended by"),
    (Cause.CRASHED, lambda t: [ended("server", t, status="1")], "exit status 1"),
    (
        Cause.CRASHED,
        lambda t: [ended("core", t, signal="SEGV"), ended("server", t, status="0")],
        "its core process (11) was ended by SIGSEGV",
    ),
    (
        Cause.CRASHED,
        lambda t: [ended("core", t, signal="ABRT"), unit("exited", t, code="exited", status="0")],
        "its core process (11) was ended by SIGABRT",
    ),
    (
        Cause.CRASHED,
        lambda t: [ended("core", t, status="1"), ended("server", t, status="0")],
        "its core process (11) ended with exit status 1",
    ),
    (
        Cause.STOPPED,
        lambda t: [ended("core", t, signal="KILL"), ended("server", t, signal="TERM")],
        "its server process (11) was ended by SIGTERM",
    ),
    (
        Cause.KILLED,
        lambda t: [ended("core", t, signal="KILL"), ended("server", t, signal="KILL")],
        "its server process (11) was ended by SIGKILL",
    ),
    (
        Cause.UNKNOWN,
        lambda t: [ended("core", t, signal="KILL")],
        "chat died: its core process (11)",
    ),
    (Cause.OOM_KILL, lambda t: [ended("server", t, signal="KILL"), oom("11", t)], "lack of memory"),
    (Cause.ENGINE_ERROR, lambda t: [ended("server", t, status="1"), log("fatal", "Oops", t)], "Oo"),
    (Cause.UNKNOWN, lambda t: [ended("core", t, signal="TERM")], "nothing that can be seen"),
    (Cause.UNKNOWN, lambda t: [ended("core", t, status="0")], "nothing that can be seen"),
    (Cause.UNKNOWN, lambda t: [xid(t, "45")], "nothing that can be seen"),
    (Cause.UNKNOWN, lambda t: [xid(t, "79", "GPU-b")], "nothing that can be seen"),
    (Cause.UNKNOWN, lambda t: [oom("99", t - 100)], "nothing that can be seen"),
]


@pytest.mark.parametrize(("cause", "evidence", "says"), EVIDENCE)
@pytest.mark.parametrize("late", [-2, 2])
def test_the_strongest_evidence_is_the_cause(
    cause: Cause, evidence: Callable[[float], list[Event]], says: str, late: int
):
    """One death, told with its cause and numbers, whether evidence comes before or after it."""
    host, deaths = serving()
    events: list[Event] = []
    if late < 0:
        events += told(deaths, [host.frame(*evidence(host.time))])
        events += told(deaths, host.frames(-late))
    host.silent()
    host.processes()
    fell = host.time
    events += told(deaths, host.frames(max(late, 1)))
    if late > 0:
        events += told(deaths, [host.frame(*evidence(host.time))])
    events += told(deaths, host.frames(20))
    assert [(event.kind, event.labels["cause"]) for event in events] == [("engine_died", cause)]
    died = events[0]
    assert says in died.message
    assert "4 requests running and 2 waiting, its KV cache 90% full" in died.message
    assert died.time == fell
    assert died.labels["phase"] == "serving"
    assert died.labels["requests"] == "6"
    shown = samples(host.table, deaths.observe(host.frame()))
    labels = f'{{engine="vllm",instance_name="chat",cause="{cause}"}}'
    assert shown[f"engine_deaths_total{labels}"] == 1.0
    assert shown[f"engine_last_death_timestamp_seconds{labels}"] == fell
    assert shown[f"engine_last_death_requests{labels}"] == 6.0


def test_evidence_shortens_the_wait():
    """With evidence a death is told after SETTLE seconds, without any after SEARCH."""
    waits = []
    for evidence in ([log("cuda_oom", "CUDA out of memory", START + 30)], []):
        host, deaths = serving()
        host.silent()
        host.processes()
        fell = host.time
        told(deaths, [host.frame(*evidence)])
        for _tick in range(100):
            if told(deaths, [frame := host.frame()]):
                break
        waits.append(frame.time - fell)
    assert waits == [SETTLE, SEARCH]


def test_what_comes_late_explains_without_counting_again():
    """Evidence that comes after a death was told is told, and no second death is counted."""
    host, deaths = serving()
    host.silent()
    host.processes()
    told(deaths, host.frames(20))
    events = told(deaths, [host.frame(oom("11", host.time - 18))])
    assert [event.kind for event in events] == ["engine_death_explained"]
    assert events[0].labels["cause"] == Cause.OOM_KILL
    shown = samples(host.table, deaths.observe(host.frame()))
    assert sum(value for name, value in shown.items() if name.startswith("engine_deaths")) == 1.0


@pytest.mark.parametrize(
    ("first", "then", "told_anew"),
    [
        (ended("core", START + 30, signal="SEGV"), ended("server", START + 37, status="0"), []),
        (
            ended("server", START + 30, status="0"),
            ended("core", START + 37, signal="SEGV"),
            ["crashed"],
        ),
    ],
)
def test_how_a_server_took_it_explains_nothing_that_is_known(
    first: Event, then: Event, told_anew: list[str]
):
    """What came first for its weight stays the cause, whichever of the two is reaped late."""
    host, deaths = serving()
    host.silent()
    host.processes()
    (died,) = told(deaths, [host.frame(first), *host.frames(6)])
    assert died.kind == "engine_died"
    late = told(deaths, [host.frame(then), *host.frames(6)])
    assert [(one.kind, one.labels["cause"]) for one in late] == [
        ("engine_death_explained", cause) for cause in told_anew
    ]


@pytest.mark.parametrize("gap", [1, 6])
def test_how_it_went_is_told_where_nothing_says_why(gap: int):
    """Whether the page or the process went first is what is left, and who could have known more."""
    host, deaths = serving()
    host.silent()
    told(deaths, host.frames(gap))
    host.processes()
    (died,) = told(deaths, host.frames(20))
    assert died.labels["cause"] == Cause.UNKNOWN
    how = {
        1: "its process was gone as soon as its page",
        6: "its process ended 6.0 s after it had ceased to answer",
    }
    assert how[gap] in died.message
    assert "told by a unit of systemd" in died.message


@pytest.mark.parametrize("step", [-3600, 3600])
def test_how_it_went_is_told_by_a_clock_that_nobody_sets(step: int):
    """The seconds between page and process are those that passed."""
    host, deaths = serving()
    host.silent()
    told(deaths, host.frames(3))
    host.time += step
    told(deaths, host.frames(3))
    host.processes()
    (died,) = told(deaths, host.frames(20))
    assert "its process ended 6.0 s after it had ceased to answer" in died.message


def test_a_preemption_storm_is_named_where_nothing_stronger_is():
    """An engine that threw out more than it finished in its last minute died of that, if at all."""
    host, deaths = serving(PREEMPTIONS=0)
    for step in range(60):
        host.page(PREEMPTIONS=step, STEPS=100 + step)
        told(deaths, [host.frame()])
    host.silent("gave no answer within 2s")
    events = told(deaths, host.frames(40))
    assert [one.labels["cause"] for one in events] == ["preemption_storm"]
    assert "finished 0" in events[0].message


def test_kills_in_the_cgroup_are_evidence():
    """The kernel's count of kills in the engine's cgroup stands in for a log one may not read."""
    host, deaths = serving()
    host.set(incident.CGROUP_OOM_KILLS, 3.0, *CHAT)
    told(deaths, host.frames(3))
    host.set(incident.CGROUP_OOM_KILLS, 4.0, *CHAT)
    host.silent()
    host.processes()
    assert [one.labels["cause"] for one in told(deaths, host.frames(10))] == ["oom_kill"]


def test_the_crash_that_was_captured():
    """A real crash: the last good page shows nothing wrong, so the death says just that."""
    table = SeriesTable()
    deaths = Deaths()
    pipeline = Pipeline(table, analyses=(deaths,))
    events: list[Event] = []
    last = None
    for tick in RecordingReader(CRASH, table).ticks():
        last = play(pipeline, tick, EMPTY_READING)
        events += last.events
    [died] = [event for event in events if event.kind == "engine_died"]
    assert died.labels["cause"] == "unknown"
    assert "nothing wrong there" in died.message
    assert "asked, it gave: cannot connect to" in died.message
    assert int(died.labels["requests"]) > 0
    assert last is not None
    share = samples(table, last)['engine_error_share_ratio{engine="vllm",instance_name="chat"}']
    assert share > 0.3
