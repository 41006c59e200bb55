"""An engine that has served for a while, and what may be seen of its end."""

from collections.abc import Iterable

from agent.analysis.deaths import Deaths
from agent.model import Event, Frame
from tests.fakes.watched import CHAT, START, Watched


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
