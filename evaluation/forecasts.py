"""How early, how often rightly and how surely the end of a memory is foreseen, on simulated hosts.

Three numbers, of every scenario that the simulator has about things that run out and about things
that only look so:

- recall: exhaustions that were warned of at least `LEAD` seconds ahead, of those whose cause began
  at least `SLOW` seconds before. What came by chance alone, without a cause, is not among them. A
  warning is what the shipped rule fires on. A KV cache is exhausted here when it begins to bind,
  that is, to hold requests back most of the time: that a fluctuation touches the limit for a step,
  minutes before, is chance, which nobody knows half a minute ahead.
- false alarms: warnings after which nothing ran out for `GRACE` seconds, by simulated day: of whole
  days of usual load, and of the other scenarios, nearly all of which are near misses or the minutes
  around an end.
- coverage: seconds with a forecast in which the truth lay inside of its interval.

`python -m evaluation.forecasts [NAME…]` prints them.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isinf, nan
from typing import Final

from agent.analysis.forecasts import kv
from agent.analysis.forecasts.fill import HORIZON as KV_HORIZON
from agent.analysis.forecasts.memory import MemoryForecasts
from agent.analysis.forecasts.passage import Interval
from agent.analysis.replicas import Replicas
from agent.analysis.window import Window
from agent.catalog import engine, forecast
from agent.model import Frame, Metric, Reading, SeriesTable
from evaluation.forecast_rules import KEPT, SOON, Run, firing
from tests.simulator.limits import Hold
from tests.simulator.scenarios import SCENARIOS, Scenario

LEAD: Final = 30.0
GRACE: Final = 300.0
SLOW: Final = 60.0
HORIZON: Final[Mapping[str, float]] = {
    "kv": KV_HORIZON,
    "preemption": KV_HORIZON,
    "device_memory": inf,
    "host_memory": inf,
}
_HELD: Final = 8.0  # seconds: half of those over which the truth takes its majority
_EPISODE: Final = 60.0  # seconds within which a shortage belongs to the one before
_DAY: Final = 86_400.0
_MEMORY: Final[Mapping[Metric, str]] = {
    forecast.GPU_MEMORY_EXHAUSTION: "device_memory",
    forecast.HOST_MEMORY_EXHAUSTION: "host_memory",
}
WANTED: Final = (
    engine.KV_CACHE_USAGE,
    engine.REQUESTS_RUNNING,
    engine.REQUESTS_WAITING,
    engine.TIME_TO_FIRST_TOKEN,
    engine.PROMPT_TOKENS,
    engine.GENERATION_TOKENS,
    engine.PREEMPTIONS,
    engine.REQUEST_PROMPT_TOKENS,
    engine.REQUEST_GENERATION_TOKENS,
    engine.MAX_NUM_SEQS,
)


@dataclass(slots=True)
class Score:
    """Counts of one kind of exhaustion; they add up.

    Attributes:
        leads: seconds from the first warning to each slow exhaustion; 0 without one.
        alarms: warnings.
        false: those that nothing came of.
        seconds: simulated.
        whole_false: false alarms on whole days of usual load, which are among the others.
        whole_seconds: that these lasted.
        inside: seconds with a forecast that held.
        early: where the truth came before the interval.
        late: where it came after.
        runs: of each run with a forecast, how many of its seconds held and how many there were.
    """

    leads: list[float] = field(default_factory=list)
    alarms: int = 0
    false: int = 0
    seconds: float = 0.0
    whole_false: int = 0
    whole_seconds: float = 0.0
    inside: int = 0
    early: int = 0
    late: int = 0
    runs: list[tuple[int, int]] = field(default_factory=list)

    def add(self, other: "Score") -> None:
        """Take over the counts of another."""
        self.leads += other.leads
        self.alarms += other.alarms
        self.false += other.false
        self.seconds += other.seconds
        self.whole_false += other.whole_false
        self.whole_seconds += other.whole_seconds
        self.inside += other.inside
        self.early += other.early
        self.late += other.late
        self.runs += other.runs

    @property
    def recall(self) -> float:
        """Share of the slow exhaustions that were warned of in time; NaN without one."""
        many = len(self.leads)
        return sum(lead >= LEAD for lead in self.leads) / many if many else float("nan")

    @property
    def coverage(self) -> float:
        """Share of the forecasts that held; NaN without one."""
        many = self.inside + self.early + self.late
        return self.inside / many if many else float("nan")

    @property
    def false_per_day(self) -> float:
        """False alarms by simulated day."""
        return _daily(self.false, self.seconds)

    @property
    def false_per_quiet_day(self) -> float:
        """False alarms by simulated day, of whole days alone; NaN without one."""
        return _daily(self.whole_false, self.whole_seconds)

    @property
    def false_per_day_of_near_misses(self) -> float:
        """False alarms by simulated day, whole days left out; NaN without anything else."""
        return _daily(self.false - self.whole_false, self.seconds - self.whole_seconds)


def _daily(many: int, seconds: float) -> float:
    """Return a count by day."""
    return many * _DAY / seconds if seconds else nan


def observed(scenario: Scenario) -> Run:
    """Return what the forecasts say of a scenario, second by second."""
    simulation = scenario.simulate()
    table = SeriesTable()
    window = Window(WANTED)
    replicas = Replicas(window)
    forecaster = kv.KvForecaster()
    memory = MemoryForecasts()
    foreseen: dict[str, list[tuple[float, Interval]]] = {what: [] for what in SOON}
    binding = inf
    usage: list[float] = []
    soon: list[float] = []
    for frame, truth in simulation.run(table):
        time = frame.time - simulation.start
        if truth.held is Hold.BLOCKS:
            binding = min(binding, time - _HELD)
        window.append(frame)
        usage.append(0.0)
        soon.append(nan)
        for view in replicas.views(table).values():
            found = forecaster.observe(view)
            usage[-1] = float(view[engine.KV_CACHE_USAGE][-1])
            soon[-1] = nan if found.soon is None else found.soon
            for what, interval in (("kv", found.exhaustion), ("preemption", found.preemption)):
                if interval is not None:
                    foreseen[what].append((time, interval))
        for what, interval in _told(memory.observe(frame), frame):
            foreseen[what].append((time, interval))
    ends: dict[str, list[float]] = {what: [] for what in SOON}
    for one in simulation.exhaustions:
        ends[one.kind].append(one.time)
    own = simulation.members[0].engines[0]
    ends["kv"] = sorted({*ends["kv"], *own.shortages, *own.preemptions})
    ends["preemption"] = sorted(own.preemptions)
    lasting = {what: times[0] for what, times in ends.items() if times}
    lasting |= {"kv": binding, "preemption": binding}
    return Run(
        scenario.name,
        float(simulation.seconds),
        ends,
        foreseen,
        lasting,
        simulation.trend,
        usage,
        soon,
        whole=scenario.kind == "day",
    )


def _told(reading: Reading, frame: Frame) -> Iterator[tuple[str, Interval]]:
    """Yield the intervals that a reading of memory forecasts holds."""
    found: dict[tuple[Metric, tuple[str, ...]], dict[str, float]] = {}
    for series_id, value in zip(reading.ids, reading.values, strict=True):
        series = frame.table[series_id]
        found.setdefault((series.metric, series.labels[:-1]), {})[series.labels[-1]] = value
    for (metric, _labels), bounds in found.items():
        if metric in _MEMORY:
            high = bounds.get("high", inf)
            yield _MEMORY[metric], Interval(bounds["low"], bounds["estimate"], high)


def score(run: Run, what: str) -> Score:
    """Return how good the forecasts of one kind of exhaustion were in a run."""
    made = Score(seconds=run.seconds)
    ends = run.ends[what]
    for time, interval in run.foreseen[what]:
        if not _during(ends, time) and interval.estimate > 0.0:
            after = _next(ends, time)
            _cover(made, after, interval, rest=run.seconds - time, horizon=HORIZON[what])
    if many := made.inside + made.early + made.late:
        made.runs.append((made.inside, many))
    fired = firing(run, what)
    warnings = [
        time
        for before, time in zip([-inf, *fired], fired, strict=False)
        if time - before > KEPT[what]
    ]
    made.alarms = len(warnings)
    made.false = sum(
        _next(ends, time) > GRACE + SOON[what]
        and not _during(ends, time)
        and time + GRACE < run.seconds
        for time in warnings
    )
    if run.whole:
        made.whole_false, made.whole_seconds = made.false, made.seconds
    end = run.lasting.get(what, inf)
    if run.trend + SLOW <= end < inf:
        kept = KEPT[what]
        if what == "preemption":
            # The one rule is silent because the other has told it already.
            fired, kept = sorted({*fired, *firing(run, "kv")}), KEPT["kv"]
        made.leads.append(end - _unbroken([time for time in fired if time < end], end, kept))
    return made


def _unbroken(times: Sequence[float], end: float, kept: float) -> float:
    """Return when the warning began that stood at an end, bridging gaps for which it is kept."""
    begin = end
    for time in reversed(times):
        if begin - time > kept:
            break
        begin = time
    return begin


def _cover(made: Score, after: float, interval: Interval, *, rest: float, horizon: float) -> None:
    """Count whether an interval held; where the run ends before that is known, nothing."""
    high = interval.high if interval.high <= horizon else inf
    if isinf(after) and rest < min(high, horizon):
        return
    if after < interval.low - 1.0:
        made.early += 1
    elif (inf if after > horizon else after) > high + 1.0:
        made.late += 1
    else:
        made.inside += 1


def _next(ends: Sequence[float], time: float) -> float:
    """Return the seconds until the next end; infinite without one."""
    at = bisect_left(ends, time)
    return ends[at] - time if at < len(ends) else inf


def _during(ends: Sequence[float], time: float) -> bool:
    """Return whether something ran out within the last seconds: then it is no forecast."""
    at = bisect_left(ends, time)
    return at > 0 and time - ends[at - 1] < _EPISODE


def evaluate(scenarios: Iterable[Scenario]) -> dict[str, Score]:
    """Return the scores of scenarios together, by what runs out."""
    totals = {what: Score() for what in SOON}
    for scenario in scenarios:
        run = observed(scenario)
        for what, total in totals.items():
            total.add(score(run, what))
    return totals


def relevant() -> list[str]:
    """Return the names of the scenarios about what runs out and what does not, days left out."""
    return [name for name, one in SCENARIOS.items() if one.kind in {"forecast", "quiet", "small"}]


def _print(name: str, what: str, found: Score) -> None:
    """Write one line."""
    leads = " ".join(f"{lead:.0f}" for lead in found.leads)
    print(  # noqa: T201 - a command
        f"{name:22} {what:14} recall {found.recall:.2f} of {len(found.leads)} (leads {leads}) "
        f"false {found.false} of {found.alarms} in {found.seconds / 3600:.1f} h, "
        f"inside {found.coverage:.2f} (early {found.early}, late {found.late}, "
        f"of {found.inside + found.early + found.late})"
    )


def main(arguments: Sequence[str]) -> None:
    """Print the scores of scenarios whose names begin so, and of all of them together."""
    totals = {what: Score() for what in SOON}
    asked = [n for n in relevant() if not arguments or n.startswith(tuple(arguments))]
    for kind in dict.fromkeys(name.rpartition("-")[0] for name in asked):
        own = [one for name, one in SCENARIOS.items() if name.rpartition("-")[0] == kind]
        for what, found in evaluate(own).items():
            totals[what].add(found)
            if found.alarms or found.leads or found.inside + found.early + found.late:
                _print(kind, what, found)
    for what, found in totals.items():
        _print("all", what, found)


if __name__ == "__main__":
    main(sys.argv[1:])
