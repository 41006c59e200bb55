"""The log: one line for each change of state and each event, never one for each tick."""

import contextlib
import logging
import os
import sys
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import structlog

from agent.config.settings import LogFormat, Logging
from agent.model import Event, Look

# Each state of a source is told at most once in this many seconds, so that one that comes and
# goes does not fill the log; the next line says how many changes were left out. A state that
# lasts is always told in the end.
QUIET_SECONDS = 30.0
# Of each kind of event this many are told within that time; how many more there were is told
# when it is over.
EVENTS_AT_ONCE = 10

NEWS = frozenset(
    {
        "alert_resolved",
        "engine_recovered",
        "latency_shifted",
        "models_dropped",
        "models_restored",
        "verdict_changed",
    }
)
"""Kinds of events that are worth a line and no warning."""

# Levels of syslog(3), which journald reads from a prefix such as `<4>`.
_SYSLOG = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def configure_logging(settings: Logging, stream: TextIO | None = None) -> None:
    """Set up structlog for the whole process.

    Args:
        settings: level and format.
        stream: where lines go; standard error if not given.
    """
    out = stream or sys.stderr
    chosen = settings.format
    if chosen is LogFormat.AUTO:
        chosen = _format_for(out)
    processors: list[Callable[..., Any]] = [structlog.processors.add_log_level]
    if chosen is not LogFormat.CONSOLE:  # its renderer wants exceptions as they are
        processors.append(structlog.processors.format_exc_info)
    match chosen:
        case LogFormat.CONSOLE:
            processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
            processors.append(structlog.dev.ConsoleRenderer(colors=out.isatty()))
        case LogFormat.JOURNALD:
            processors.append(_journald)
        case _:
            processors.append(structlog.processors.TimeStamper(fmt="iso", key="time"))
            processors.append(structlog.processors.JSONRenderer())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )


def _format_for(out: TextIO) -> LogFormat:
    """Return what suits the reader: a person, journald or a collector of JSON."""
    if out.isatty():
        return LogFormat.CONSOLE
    try:
        status = os.fstat(out.fileno())
    except OSError:
        return LogFormat.JSON
    journal = os.environ.get("JOURNAL_STREAM", "")
    if journal == f"{status.st_dev}:{status.st_ino}":
        return LogFormat.JOURNALD
    return LogFormat.JSON


def _journald(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """Render a line for journald: level as a prefix, then the sentence, then key=value."""
    level = _SYSLOG.get(str(event.pop("level", "info")), 6)
    sentence = str(event.pop("event", ""))
    pairs = " ".join(f"{key}={value!r}" for key, value in event.items())
    text = f"{sentence} {pairs}".rstrip().replace("\n", " | ")
    return f"<{level}>{text}"


@dataclass(slots=True)
class _Told:
    """What was said about something, and when. A state comes with its reason.

    Attributes:
        state: as it is now.
        said: the state that the last line told.
        times: when each state was told last, for whatever reason, Unix seconds.
        unsaid: changes since the last line.
    """

    state: tuple[str, str]
    said: tuple[str, str]
    times: dict[str, float]
    unsaid: int = 0


@dataclass(slots=True)
class _Events:
    """How many events of one kind were told since some moment, Unix seconds, and were not."""

    since: float
    told: int = 0
    left_out: int = 0


class ChangeLog:
    """Writes how sources and exporters fare, when it changes, and events. A `runtime.StateLog`."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()
        self._told: dict[str, _Told] = {}
        self._events: dict[str, _Events] = {}

    def source(self, name: str, look: Look, time: float) -> None:
        """Take note of a finished look at a source."""
        if look.reading is not None:
            self._change(f"source {name}", "up", "", time)
        elif look.unavailable:
            self._change(f"source {name}", "not on this host", look.error, time)
        else:
            self._change(f"source {name}", "down", look.error, time)

    def exporter(self, name: str, error: str, time: float) -> None:
        """Take note of how publishing a frame went."""
        self._change(f"exporter {name}", "down" if error else "up", error, time)

    def events(self, events: Sequence[Event], time: float) -> None:
        """Write a line for each event; a storm of one kind is cut short and counted."""
        for kind in [kind for kind, each in self._events.items() if not _recent(each.since, time)]:
            left_out = self._events.pop(kind).left_out
            if left_out:
                self._warn("more events of one kind were not told", kind=kind, left_out=left_out)
        for event in events:
            known = self._events.setdefault(event.kind, _Events(time))
            if known.told == EVENTS_AT_ONCE:
                known.left_out += 1
                continue
            known.told += 1
            labels = {"labels": dict(event.labels)} if event.labels else {}
            say = self._say if event.kind in NEWS else self._warn
            say(event.message or event.kind, kind=event.kind, source=event.source, **labels)

    def _say(self, sentence: str, **extra: object) -> None:
        """Write a line that is no trouble."""
        with contextlib.suppress(OSError):
            self._log.info(sentence, **extra)

    def _warn(self, sentence: str, **extra: object) -> None:
        """Write a line."""
        with contextlib.suppress(OSError):
            self._log.warning(sentence, **extra)

    def _change(self, what: str, state: str, why: str, time: float) -> None:
        """Write a line when the state is another than before."""
        told = self._told.get(what)
        if told is None:
            self._told[what] = _Told((state, why), (state, why), {state: time})
            if not (state == "up" and what.startswith("exporter")):
                self._write(what, state, why, 0)
            return
        if told.state != (state, why):
            told.state = (state, why)
            told.unsaid += 1
        if told.said == (state, why):
            return
        if _recent(told.times.get(state, float("-inf")), time):
            return
        left_out, told.unsaid = told.unsaid - 1, 0
        told.said = (state, why)
        told.times[state] = time
        self._write(what, state, why, left_out)

    def _write(self, what: str, state: str, why: str, left_out: int) -> None:
        """Write the line."""
        extra: dict[str, object] = {}
        if why:
            extra["reason"] = why
        if left_out:
            extra["changes_left_out"] = left_out
        write = self._log.warning if state == "down" else self._log.info
        # A full disk or a closed pipe behind the log is no reason to stop watching.
        with contextlib.suppress(OSError):
            write(f"{what} is {state}", **extra)


def _recent(moment: float, time: float) -> bool:
    """Return whether that was a moment ago; a clock that was set back ends every moment."""
    return 0 <= time - moment < QUIET_SECONDS
