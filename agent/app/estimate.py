"""What the agent would have said of capacity, at each minute of a recording."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.app.conclusions import Conclusions
from agent.config import Settings
from agent.config.limits_file import LimitsFile, read_limits
from agent.model import Reading, RecordingError, SeriesTable
from agent.recording import RecordedTick, RecordingReader
from agent.recording.scrapes import CaptureReader, looks_captured
from agent.replay import play, until_damage
from collectors.captured import captured_ticks
from collectors.engines import ENGINES
from collectors.engines.commandline import recognise
from collectors.engines.profile import Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the agent knew at a moment.

    Attributes:
        time: Unix seconds.
        offset: seconds since the beginning of the recording.
        said: as `/api/v1/capacity` would have answered.
    """

    time: float
    offset: float
    said: dict[str, Any]


def moments(
    path: Path, settings: Settings, *, every: float, warn: Callable[[str], None]
) -> Iterator[Moment]:
    """Yield what the agent would have known, from time to time and at the end.

    Args:
        path: a recording of the agent, or captured pages of an engine.
        settings: targets, limits and prices.
        every: seconds from one moment to the next.
        warn: called with a sentence for what could not be read.

    Raises:
        RecordingError: the file is neither, or nothing of it can be read.
    """
    table = SeriesTable()
    conclusions = Conclusions(settings)
    pipeline = conclusions.pipeline(table)
    begin, due, last = math.nan, math.inf, None
    for tick in recorded_ticks(path, table, warn=warn):
        if math.isnan(begin):
            begin = tick.monotonic
            due = begin + every
        play(pipeline, tick, Reading((), ()))
        now = tick.monotonic
        last = Moment(time=tick.time, offset=now - begin, said={})
        if now >= due - _EARLY:
            yield Moment(time=tick.time, offset=now - begin, said=conclusions.capacity())
            due += every * max(1.0, math.ceil((now + _EARLY - due) / every))
            last = None
    if last is not None:
        yield Moment(time=last.time, offset=last.offset, said=conclusions.capacity())


_EARLY = 0.5
"""Seconds by which a tick may come before its minute is full: their distances vary."""


def recorded_ticks(
    path: Path, table: SeriesTable, *, warn: Callable[[str], None]
) -> Iterator[RecordedTick]:
    """Yield the ticks of a recording or of captured pages; errors as for `moments`."""
    if looks_captured(path):
        return captured_ticks(CaptureReader(path, warn), table)
    try:
        reader = RecordingReader(path, table)
    except RecordingError as error:
        raise RecordingError(
            f"{error}; captured pages of an engine (JSON lines with t, path, code and body) would "
            "do as well"
        ) from error
    return until_damage(reader.ticks(), warn)


def limits_from(path: Path) -> LimitsFile:
    """Return the limits in a file: YAML, JSON or the command line of an engine.

    Raises:
        ConfigError: it has problems; the message has them all.
    """
    flags = {
        name.lstrip("-").replace("-", "_")
        for engine in ENGINES.values()
        for names in engine.flags.values()
        for name in names
    }
    return read_limits(path, command_line=_said, flags={*flags, *Fact})


def _said(words: Sequence[str]) -> dict[str, str]:
    """Return what the words of a command line say; flags alone are taken for those of vLLM."""
    found = recognise(words, ENGINES.values()) or recognise(
        ["vllm", "serve", *words], ENGINES.values()
    )
    return {} if found is None else {fact.value: value for fact, value in found[1].items()}
