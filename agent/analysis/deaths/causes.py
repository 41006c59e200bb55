"""What an event says of why an engine ended."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from agent.lines import one_line
from agent.model import Event


class Cause(StrEnum):
    """Why an engine no longer serves; of several that are evident, the first counts.

    The kernel and the driver stand above what the engine says of itself, because that is often
    only how it noticed. A stop comes after errors: servers shut down in good order once they have
    failed. A signal or an exit status comes last, as all of the others end in one.
    """

    OOM_KILL = "oom_kill"
    GPU_ERROR = "gpu_error"
    CUDA_OOM = "cuda_oom"
    ENGINE_ERROR = "engine_error"
    STOPPED = "stopped"
    CRASHED = "crashed"
    KILLED = "killed"
    PREEMPTION_STORM = "preemption_storm"
    HUNG = "hung"
    START_FAILED = "start_failed"
    UNKNOWN = "unknown"


RANK: Final[Mapping[Cause, int]] = {cause: place for place, cause in enumerate(Cause)}
"""Place of each cause; the lowest counts."""


class Finding(NamedTuple):
    """A piece of evidence.

    Attributes:
        time: Unix seconds of what was seen.
        cause: what it speaks for.
        text: it, as a part of a sentence.
        ends: it is the end of the server's process itself, as its unit tells it.
        follows: it may be how the server took the end of another of its processes. vLLM exits
            with status 0 when its core has crashed.
    """

    time: float
    cause: Cause
    text: str
    ends: bool = False
    follows: bool = False

    @property
    def place(self) -> float:
        """Place among others, of which the lowest counts."""
        return RANK[Cause.KILLED] + 0.5 if self.follows else float(RANK[self.cause])


# XIDs that follow from the end of a process or change nothing for one that runs (NVIDIA, "XID
# Errors"): 45 cleans up after whatever ended a process, a plain kill included; 63 is a row remapped
# in time; 92 counts corrected errors; 154 says what is to be done about another.
CONSEQUENCES: Final = frozenset({"45", "63", "92", "154"})

# Signals by which somebody asks a process to end: hang up, interrupt, quit from a terminal, end.
_ASKED: Final = frozenset({"HUP", "INT", "TERM"})
_LONGEST: Final = 300

_OF_LOG: Final[Mapping[str, Cause]] = {
    "cuda_oom": Cause.CUDA_OOM,
    "gpu_error": Cause.GPU_ERROR,
    "fatal": Cause.ENGINE_ERROR,
    "stopping": Cause.STOPPED,
}


def of_kernel(event: Event) -> Finding | None:
    """Return what an `xid` or an `oom_kill` says of the engine that it hit."""
    labels = event.labels
    if event.kind == "oom_kill":
        scope = "its cgroup" if labels.get("scope") == "cgroup" else "the host"
        text = (
            f"the kernel killed {labels.get('process', 'a process')} (process "
            f"{labels.get('pid', 'unknown')}) for lack of memory of {scope}"
        )
        return Finding(event.time, Cause.OOM_KILL, text)
    code = labels.get("code", "")
    if event.kind == "xid" and code not in CONSEQUENCES:
        where = labels.get("gpu") or labels.get("pci_bus_id") or "unknown"
        return Finding(
            event.time, Cause.GPU_ERROR, f"the driver reported XID {code} on GPU {where}"
        )
    return None


def of_engine(event: Event) -> Finding | None:
    """Return what the log, the unit or the restart of an engine says of its end."""
    labels = event.labels
    if event.kind == "engine_log":
        cause = _OF_LOG.get(labels.get("finding", ""))
        text = f"its log says: {_short(event.message)}"
        return None if cause is None else Finding(event.time, cause, text)
    if event.kind == "engine_unit":
        return _of_unit(event)
    if event.kind == "engine_process_ended":
        return _of_process(event)
    return None


def _of_process(event: Event) -> Finding | None:
    """Return what the end of one process says; a server ends its own processes in good order."""
    role, name = event.labels.get("process", ""), event.labels.get("signal", "")
    status, pid = event.labels.get("status", ""), event.labels.get("pid", "")
    server = role == "server"
    who = f"another process of it ({pid})" if role == "other" else f"its {role} process ({pid})"
    if name:
        cause = _of_signal(name)
        if cause is Cause.STOPPED and not server:
            return None
        if cause is Cause.KILLED and not server:
            # vLLM kills these itself when it is asked to end: worth telling, and no cause.
            cause = Cause.UNKNOWN
        return Finding(event.time, cause, f"{who} was ended by SIG{name}")
    text = f"{who} ended with exit status {status}"
    cause = Cause.STOPPED if status == "0" else Cause.CRASHED
    return Finding(event.time, cause, text, follows=True) if server or status != "0" else None


def _of_unit(event: Event) -> Finding | None:
    """Return what systemd says of the engine's unit."""
    unit, status = event.labels.get("unit", "its unit"), event.labels.get("status", "")
    match event.labels.get("what", ""):
        case "oom_killed":
            text = f"systemd says that the kernel killed a process of {unit} for lack of memory"
            return Finding(event.time, Cause.OOM_KILL, text)
        case "stopping" | "stopped":
            return Finding(event.time, Cause.STOPPED, f"systemd was told to stop {unit}")
        case "exited" if event.labels.get("code") == "exited":
            cause = Cause.STOPPED if status in ("0", "") else Cause.CRASHED
            text = f"the main process of {unit} ended with exit status {status}"
            return Finding(event.time, cause, text, ends=True, follows=True)
        case "exited":
            text = f"the main process of {unit} was ended by SIG{status}"
            return Finding(event.time, _of_signal(status), text, ends=True)
        case _:
            return None


def _of_signal(name: str) -> Cause:
    """Return what a signal speaks for."""
    if name in _ASKED:
        return Cause.STOPPED
    return Cause.KILLED if name == "KILL" else Cause.CRASHED


def strongest(findings: Iterator[Finding] | list[Finding]) -> Finding | None:
    """Return the finding that counts, the oldest of those that speak for the same."""
    causes = (one for one in findings if one.cause is not Cause.UNKNOWN)
    return min(causes, key=lambda one: (one.place, one.time), default=None)


def _short(text: str) -> str:
    """Return a text in one line of a length that people read."""
    line = one_line(text)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
