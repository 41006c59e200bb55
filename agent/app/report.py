"""Reports as the settings want them, in a process that was started for one."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from agent.app.history import target_of
from agent.app.incidents import folder_of
from agent.app.targets import targets_of
from agent.app.version import version
from agent.config import Settings
from agent.incidents.folder import Folder
from agent.report.answers import Embedded
from agent.report.asked import Asked
from agent.report.compare import compared
from agent.report.html import page
from agent.report.report import History, Report, ReportError, build
from agent.report.resolve import choice_of, other_of, window_for
from agent.report.rows import table
from agent.report.text import console, markdown
from agent.store.reader import HistoryReader

NICE: Final = 10
CPU_SECONDS: Final = 240
MEMORY: Final = 384 * 2**20
_PR_SET_PDEATHSIG: Final = 1
_LAST_KILLED: Final = "1000"


def make(settings: Settings, asked: Asked, *, history: Path | None, now: float) -> Report:
    """Return the report that was asked for.

    Args:
        settings: where the history and the incidents are, and which latencies are well.
        asked: which report.
        history: another history than that of the settings, which has no incidents beside it.
        now: Unix seconds.

    Raises:
        AskedError: what is asked for makes no sense.
        ReportError: there is nothing to report.
        HistoryError: the history cannot be read.
        IncidentError: the folder of the incidents may not be read.
    """
    asked.check()
    path = history or settings.history.path
    target = target_of(settings)
    with contextlib.closing(HistoryReader(path, target)) as reader:
        stored = reader.stored()
        if stored.five is None:
            raise ReportError(f"{path}: holds nothing yet")
        seen = History(
            answers=Embedded(reader, rest=_Pace() if _crowded() else _nothing),
            first=stored.five[0] / 1000,
            last=stored.five[1] / 1000,
            full_since=None if stored.full is None else stored.full[0] / 1000,
        )
        folder = folder_of(settings) if history is None else None
        return report_on(seen, settings, asked, incidents=folder, host=target.instance, now=now)


def report_on(
    seen: History,
    settings: Settings,
    asked: Asked,
    *,
    incidents: Folder | None,
    host: str,
    now: float,
) -> Report:
    """Return the report on a history, with the other that it is compared with.

    Args:
        seen: what is asked.
        settings: which latencies are well.
        asked: which report.
        incidents: where they are recorded; None for nowhere.
        host: whose history it is.
        now: Unix seconds.

    Raises:
        AskedError: what is asked for makes no sense.
        ReportError: there is nothing to report.
    """
    targets = targets_of(settings.targets)
    told = {"generated_timestamp_seconds": now, "agent_version": version(), "host": host}
    window = window_for(asked, seen)
    report = build(seen, window, choice_of(asked), targets=targets, incidents=incidents, told=told)
    other = other_of(asked, seen, window)
    if other is None:
        return report
    choice, time_of_other, same = other
    against = build(seen, time_of_other, choice, targets=targets, incidents=incidents, told=told)
    document = {
        **report.document,
        "against": compared(report.document, against.document, same=same),
    }
    return replace(report, document=document)


def _json(report: Report) -> str:
    """Return a report for programs."""
    return json.dumps(report.document, indent=2, allow_nan=False) + "\n"


FORMS: Final[dict[str, Callable[[Report], str]]] = {
    "console": lambda report: console(report.document),
    "markdown": lambda report: markdown(report.document),
    "csv": table,
    "json": _json,
    "html": page,
}
"""How a report becomes text, by the names of `asked.FORMATS`."""


def _nothing() -> None:
    """Leave nothing to others: the scheduler does."""


def _crowded() -> bool:
    """Return whether this process runs beside the agent without having been let to be nice."""
    return _LIMITED.active and not _LIMITED.nice


@dataclass(slots=True)
class _Limited:
    """Whether this process has limited itself, and whether it is nice."""

    active: bool = False
    nice: bool = False


_LIMITED: Final = _Limited()


def limit_itself() -> None:
    """Keep this process from harming what runs beside it: for one that was asked for over HTTP.

    It gets what is left of the processors, a bounded part of them and of memory, is the first to be
    killed when memory runs out, and ends with the agent that started it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _LIMITED.active = True
    with contextlib.suppress(OSError):  # a sandbox may refuse it
        os.nice(NICE)
        _LIMITED.nice = True
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_LAST_KILLED, "ascii")


@dataclass(slots=True)
class _Pace:
    """Pauses for as long as was worked since the last pause: half of one processor.

    Attributes:
        worked: CPU seconds of this process up to the last pause.
    """

    worked: float = field(default_factory=time.process_time)

    def __call__(self) -> None:
        """Pause."""
        time.sleep(max(0.0, time.process_time() - self.worked))
        self.worked = time.process_time()
