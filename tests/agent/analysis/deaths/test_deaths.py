"""Engines that die, hang or fail to start are explained by what was seen of it, once each."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.deaths import Cause, Deaths, Ending
from agent.analysis.deaths.life import HANG, SEARCH, SETTLE, STALL
from agent.catalog import engine, incident
from agent.model import EMPTY_READING, Event, Frame, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from tests.fakes.samples import samples
from tests.fakes.watched import CHAT, START, Watched

CRASH = Path(__file__).parents[3] / "recordings" / "vllm-enginecrash.rec.gz"


def told(deaths: Deaths, frames: Iterable[Frame]) -> list[Event]:
    """Return the events of these frames."""
    return [event for frame in frames for event in deaths.observe(frame).events]


def serving(**more: float) -> tuple[Watched, Deaths]:
    """Return an engine that has served for a while, with its server at process 10."""
    host, deaths = Watched(), Deaths()
    host.processes("10", "11", "12", on="GPU-a")
    for step in range(30):
        host.page(
            REQUESTS_RUNNING=4,
            REQUESTS_WAITING=2,
            KV_CACHE_USAGE=0.9,
            STEPS=step,
            START_TIME=START - 60,
            **more,
        )
        assert told(deaths, [host.frame()]) == []
    return host, deaths


def log(finding: str, text: str, time: float) -> Event:
    """Return a line of the engine's log."""
    labels = {"engine": CHAT[0], "instance_name": CHAT[1], "finding": finding}
    return Event(time, "engine_log", "engine_ends", labels, text)


def unit(what: str, time: float, **more: str) -> Event:
    """Return a message of systemd about the engine's unit."""
    labels = {"engine": CHAT[0], "instance_name": CHAT[1], "unit": "chat.service", "what": what}
    return Event(time, "engine_unit", "engine_ends", {**labels, **more})


def oom(pid: str, time: float) -> Event:
    """Return the kernel's message of a kill."""
    labels = {"pid": pid, "process": "VLLM::EngineCor", "scope": "cgroup"}
    return Event(time, "oom_kill", "kernel_log", labels)


def xid(time: float, code: str = "79", uuid: str = "GPU-a") -> Event:
    """Return the driver's message of an error."""
    return Event(time, "xid", "nvml", {"uuid": uuid, "gpu": "0", "code": code})


def killed(time: float) -> Event:
    """Return what systemd says of a main process that was killed outright."""
    return unit("exited", time, code="killed", status="KILL")


def ended(role: str, time: float, *, signal: str = "", status: str = "") -> Event:
    """Return how the kernel says that a process of the engine ended."""
    labels = {"engine": CHAT[0], "instance_name": CHAT[1], "process": role, "pid": "11"}
    more = {"signal": signal, "status": status}
    return Event(time, "engine_process_ended", "processes", {**labels, **more})


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
