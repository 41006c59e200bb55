"""A report over a fleet: the document and the columns of one host's, made of sums over hosts."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.analysis.bottleneck import Targets
from agent.promql.querier import Querier
from agent.report.advice import advice
from agent.report.capacity import capacity, headroom
from agent.report.cost import Price, cost
from agent.report.fleet import names
from agent.report.fleet.asking import Asking, Group, fine_grid
from agent.report.fleet.events import alerts, outliers
from agent.report.fleet.gpus import gpus_of, installed
from agent.report.fleet.read import Sums, read_past, read_sums, room_of
from agent.report.fleet.scope import By, Part
from agent.report.grid import FIVE_MINUTES, MINUTE, Column, Grid
from agent.report.growth import growth_of, past_or_why
from agent.report.load import known, latencies, load
from agent.report.report import DAY, Report, ReportError, Section, Window
from agent.report.scope import Key, Span
from agent.report.subject import Subject

SCHEMA: Final = "inferwatch.fleet/1"
FINE: Final = 2 * DAY
"""Seconds up to which a window is reckoned by the minute."""

LONGEST: Final = 92 * DAY
"""Seconds that a window may have."""

PAST: Final = 91 * DAY
"""Seconds before its end that growth is worked out from."""

LATE: Final = 60.0
"""Seconds after which the rules have recorded what was scraped."""

_WHOLE: Final = "the whole fleet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which report.

    Attributes:
        part: of the fleet.
        window: whole windows of five minutes.
        targets: those of a model by its name.
        told: what the document begins with, such as who made it and when.
    """

    part: Part
    window: Window
    targets: Callable[[str], Targets]
    told: Mapping[str, Any]


def build(querier: Querier, wanted: Wanted) -> Report:
    """Return the report.

    Raises:
        ReportError: nothing is recorded in this time; the message says what to load, or to ask.
        PromqlError: a question has no answer.
        SourceError: the server does not answer.
        HistoryError: the history cannot be read.
    """
    part, window = wanted.part, wanted.window
    count = round((window.end - window.start) / FIVE_MINUTES)
    five = Grid(window.start, FIVE_MINUTES, count)
    span = Span(five, fine_grid(five, FINE, MINUTE))
    asking = Asking(querier, part, set())
    sums = read_sums(asking, span)
    if not sums:
        raise ReportError(_nothing(asking, window))
    past_grid = Grid(window.end - PAST, FIVE_MINUTES, round(PAST / FIVE_MINUTES))
    past, missing = past_or_why(lambda: read_past(asking, past_grid), past_grid)
    hosts = asking.plain(
        names.HOSTS, f"sum ({part.selector(names.HOSTS, by_model=False)})", five, ()
    )
    making = _Making(wanted, sums, past, _trimmed(past, past_grid))
    sections = [making.section(None), *making.sections()]
    minutes = bool(span.minutes.count)
    document = {
        "schema": SCHEMA,
        **wanted.told,
        "by": part.by.value,
        "clusters": list(part.clusters),
        "model_name": part.model_name,
        "window": {
            "start_timestamp_seconds": window.start,
            "end_timestamp_seconds": window.end,
            "length_seconds": window.end - window.start,
            "every_sample_since_timestamp_seconds": window.start if minutes else None,
        },
        "hosts": _last(hosts.get(())),
        "gpus_installed": installed(asking, window.end),
        "subjects": [one.facts for one in sections],
        "outliers": outliers(asking, window),
        "alerts": alerts(asking, five),
        "missing": [*_missing(asking), *missing],
    }
    return Report(document=document, sections=sections)


@dataclass(frozen=True, slots=True)
class _Making:
    """Makes the sections of a report."""

    wanted: Wanted
    sums: Mapping[Group, Sums]
    past: Mapping[Group, Column]
    past_grid: Grid

    def sections(self) -> list[Section]:
        """Return what is said about each group, the busiest first."""
        groups = sorted({group for group, _engine in self.sums})
        found = [self.section(group) for group in groups]
        return sorted(found, key=lambda one: -_peak(one.facts))

    def section(self, group: str | None) -> Section:
        """Return what is said about one group, or about all together."""
        keys = [key for key in self.sums if group is None or key[0] == group]
        several = [self.sums[key] for key in keys]
        subject = self._subject(group, several)
        room = room_of(several)
        skipped = round(PAST / FIVE_MINUTES) - self.past_grid.count
        growth = growth_of(
            subject,
            {
                self.sums[key].replica.key: self.past[key][skipped:]
                for key in keys
                if key in self.past
            },
            self.past_grid,
            room,
        )
        facts = self._facts(subject, room, several)
        facts["growth"] = growth.as_json()
        facts["cost"] = cost(subject, _prices(several), facts["capacity"])
        facts["recommendations"] = (
            advice(facts, now=self.wanted.window.end) if subject.kind == By.MODEL else []
        )
        return Section(subject=subject, room=room, growth=growth, facts=facts)

    def _subject(self, group: str | None, several: Sequence[Sums]) -> Subject:
        """Return a group as a subject."""
        by = self.wanted.part.by
        engines = {one.replica.key.engine for one in several}
        model = group if by is By.MODEL else self.wanted.part.model_name
        return Subject(
            kind="fleet" if group is None else by.value,
            engine=engines.pop() if len(engines) == 1 else "",
            instance_name=_WHOLE if group is None else _name(self.wanted.part, group),
            model_name=(model if group is not None else self.wanted.part.model_name) or "",
            replicas=[one.replica for one in several],
        )

    def _facts(self, subject: Subject, room: Any, several: Sequence[Sums]) -> dict[str, Any]:
        """Return a group's part of the document."""
        carried = load(subject)
        count = sum(_last(one.count) or 0.0 for one in several)
        able = sum(_last(one.able) or 0.0 for one in several)
        return {
            "kind": subject.kind,
            "engine": subject.engine,
            "instance_name": subject.instance_name,
            "model_name": subject.model_name,
            "replicas": round(count),
            "replicas_with_known_capacity": round(able),
            "gpus": gpus_of(several),
            "load": carried,
            "capacity": capacity(subject, room),
            "headroom_at_peak": headroom(subject, room, carried),
            "latencies": latencies(subject, self.wanted.targets(subject.model_name)),
            "verdicts": _verdicts(several),
            "limits": {},
        }


def _name(part: Part, group: str) -> str:
    """Return the name of a group that is no model."""
    return "" if part.by is By.MODEL else group or f"without {part.label}"


def _peak(facts: Mapping[str, Any]) -> float:
    """Return the highest load of a group."""
    peak = facts["load"]["peak"]
    return float(peak["tokens_per_minute"]) if peak is not None else 0.0


def _verdicts(several: Sequence[Sums]) -> dict[str, float]:
    """Return the share of the replicas' time for which each cause held."""
    totals: defaultdict[str, float] = defaultdict(float)
    for one in several:
        for cause, column in one.causes.items():
            totals[cause] += float(np.nansum(column))
    whole = sum(totals.values())
    found = {cause: total / whole for cause, total in totals.items()} if whole else {}
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _prices(several: Sequence[Sums]) -> dict[Key, Price]:
    """Return the price of each engine's replicas that has one, in one currency."""
    return {
        one.replica.key: next(iter(one.prices.values())) for one in several if len(one.prices) == 1
    }


def _last(column: Column | None) -> float | None:
    """Return the last value that is known."""
    if column is None or np.isnan(column).all():
        return None
    return known(float(column[~np.isnan(column)][-1]))


def _trimmed(past: Mapping[Group, Column], grid: Grid) -> Grid:
    """Return the windows from the first on of which anything is known."""
    seen = [
        int(np.flatnonzero(~np.isnan(one))[0]) for one in past.values() if not np.isnan(one).all()
    ]
    first = min(seen, default=grid.count)
    return Grid(grid.start + first * grid.step, grid.step, grid.count - first)


def _missing(asking: Asking) -> list[str]:
    """Return what should have been recorded and was not."""
    gone = sorted(set(names.ALWAYS) & asking.empty)
    if not gone:
        return []
    return [
        (
            f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} not recorded: load the "
            f"{names.RULES} that came with this inferwatch"
        )
    ]


def _nothing(asking: Asking, window: Window) -> str:
    """Return why there is nothing, by what there is instead."""
    part = asking.part
    some = asking.vector("", f"count({names.REPLICAS})", window.end)
    agents = asking.vector("", "count(inferwatch_build_info)", window.end)
    if some:
        kept = [f"{part.cluster_label} {', '.join(part.clusters)}"] if part.clusters else []
        kept += [f"model {part.model_name}"] if part.model_name is not None else []
        return (
            "nothing is recorded " + (f"of {' and '.join(kept)} " if kept else "") + "in this time"
        )
    if agents:
        return (
            f"this server has the series of {agents[0][1]:.0f} agents, but not what is recorded of "
            f"them: have it load {names.RULES}, see docs/scaling.md; what was before that is not "
            "known"
        )
    return (
        "this server has no series of an agent at that time: does it scrape them, and is "
        "it asked for the right tenant?"
    )
