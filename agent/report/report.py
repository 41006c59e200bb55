"""A report: everything about some replicas over a window of time, as a document and as columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.analysis.bottleneck import Targets
from agent.catalog import engine
from agent.incidents.folder import Folder
from agent.model import InferwatchError
from agent.report.advice import advice
from agent.report.alerts import fired
from agent.report.answers import Answers
from agent.report.capacity import Room, capacity, headroom, read_rooms, room_of
from agent.report.cost import cost, read_prices
from agent.report.grid import FIVE_MINUTES, Grid, whole
from agent.report.growth import Growth, growth_of, past_or_why
from agent.report.incidents import happened
from agent.report.load import latencies, load
from agent.report.replica import read_replicas, read_tokens
from agent.report.scope import Choice, span
from agent.report.subject import Subject, subjects

SCHEMA: Final = "inferwatch.report/1"
DAY: Final = 86_400.0


class ReportError(InferwatchError):
    """There is nothing to report; the message says why."""

    exit_status = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history that is asked, and how far it goes.

    Attributes:
        answers: who answers.
        first: Unix seconds since when there is anything.
        last: Unix seconds of the newest that is on disk.
        full_since: Unix seconds since when every sample is kept; None where that is never so.
    """

    answers: Answers
    first: float
    last: float
    full_since: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time; Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What is said about one subject.

    Attributes:
        subject: its columns.
        room: what it could have carried.
        growth: where its demand is going.
        facts: its part of the document.
    """

    subject: Subject
    room: Room
    growth: Growth
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report.

    Attributes:
        document: what JSON says; everything but columns.
        sections: with the columns, for rows and plots.
    """

    document: dict[str, Any]
    sections: list[Section]


def window_of(history: History, start: float | None, end: float | None) -> Window:
    """Return the time to report on, in whole windows of five minutes.

    Args:
        history: what there is.
        start: Unix seconds; None for a day before the end.
        end: Unix seconds; None for the newest there is.

    Raises:
        ReportError: there is no whole window of five minutes in it.
    """
    end = history.last if end is None else min(end, history.last)
    end = end // FIVE_MINUTES * FIVE_MINUTES
    start = end - DAY if start is None else start
    start = max(start, history.first) // FIVE_MINUTES * FIVE_MINUTES
    if end <= start:
        raise ReportError(
            "there is not a whole window of five minutes in this time; see `inferwatch history` "
            "for what there is"
        )
    return Window(start=start, end=end)


def build(
    history: History,
    window: Window,
    choice: Choice,
    *,
    targets: Callable[[str], Targets],
    incidents: Folder | None,
    told: Mapping[str, Any],
) -> Report:
    """Return the report on some replicas.

    Args:
        history: what is asked.
        window: whole windows of five minutes.
        choice: which replicas.
        targets: those of a model by its name.
        incidents: where they are recorded; None for nowhere.
        told: what the document begins with, such as who made it and when.

    Raises:
        ReportError: no engine was seen in this time.
        HistoryError: the history cannot be read.
        IncidentError: the folder of the incidents may not be read.
    """
    answers, (start, end) = history.answers, (window.start, window.end)
    grids = span(start, end, history.full_since)
    replicas = read_replicas(answers, choice, grids)
    if not replicas:
        raise ReportError(_nobody(choice))
    rooms = read_rooms(answers, choice, grids.five)
    prices = read_prices(answers, choice, grids.five)
    everything = whole(history.first, end)
    past, missing = past_or_why(lambda: read_tokens(answers, choice, everything), everything)
    sections: list[Section] = []
    for subject in subjects(replicas):
        room = room_of(subject, rooms)
        growth = growth_of(subject, past, everything, room)
        facts = _facts(subject, room, growth, targets(subject.model_name))
        facts["cost"] = cost(subject, prices, facts["capacity"])
        facts["limits"] = _limits(answers, subject, grids.five)
        facts["recommendations"] = advice(facts, now=end)
        sections.append(Section(subject=subject, room=room, growth=growth, facts=facts))
    full = history.full_since
    document = {
        "schema": SCHEMA,
        **told,
        "window": {
            "start_timestamp_seconds": start,
            "end_timestamp_seconds": end,
            "length_seconds": end - start,
            "every_sample_since_timestamp_seconds": None if full is None or full > end else full,
        },
        "subjects": [one.facts for one in sections],
        "incidents": [] if incidents is None else happened(incidents, start, end),
        "alerts": fired(answers, choice, start, end),
        "missing": missing,
    }
    return Report(document=document, sections=sections)


def _nobody(choice: Choice) -> str:
    """Return that no engine was seen."""
    wanted = [
        f"{word} {name!r}"
        for word, name in (("instance", choice.instance_name), ("model", choice.model_name))
        if name is not None
    ]
    return f"no engine {'with ' + ' and '.join(wanted) if wanted else ''} was seen in this time"


def _facts(subject: Subject, room: Room, growth: Growth, targets: Targets) -> dict[str, Any]:
    """Return a subject's part of the document, as far as it follows from its own columns."""
    carried = load(subject)
    return {
        "kind": subject.kind,
        "engine": subject.engine,
        "instance_name": subject.instance_name,
        "model_name": subject.model_name,
        "replicas": len(subject.replicas),
        "load": carried,
        "capacity": capacity(subject, room),
        "headroom_at_peak": headroom(subject, room, carried),
        "latencies": latencies(subject, targets),
        "verdicts": dict(sorted(subject.verdicts().items(), key=lambda one: -one[1])),
        "growth": growth.as_json(),
    }


def _limits(answers: Answers, subject: Subject, grid: Grid) -> dict[str, float]:
    """Return the limits that the engines of a subject were started with, the tightest of several.

    What the engine does not say is left out.
    """
    names = {one.key.instance_name for one in subject.replicas}
    found: dict[str, float] = {}
    for metric, best in (
        (engine.MAX_NUM_SEQS, min),
        (engine.MAX_NUM_BATCHED_TOKENS, min),
        (engine.MAX_MODEL_LEN, min),
        (engine.LONGEST_SEQUENCE, max),
    ):
        values = [
            float(one.values[~np.isnan(one.values)][-1])
            for name in sorted(names)
            for one in answers.ask(Choice(instance_name=name).selector(metric.name), grid)
            if not np.isnan(one.values).all()
        ]
        if values:
            found[metric.name.removeprefix("inferwatch_engine_")] = best(values)
    return found
