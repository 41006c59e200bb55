"""One replica over a window of time: what it did, how fast, and what held it back."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.catalog import capacity, engine, verdict
from agent.model import Metric
from agent.report.answers import Answers
from agent.report.grid import Column, Grid, growth, unknown
from agent.report.scope import Choice, Fine, Key, Span, by_replica, with_one_before
from agent.report.tail import Tail, Timed, read_tails
from agent.store.five import Part


@dataclass(slots=True)
class Replica:
    """What the history has of a replica; a column without data is all NaN.

    Attributes:
        key: which.
        span: the grids of its columns.
        prompt: prompt tokens a second.
        generation: tokens generated a second.
        cached: prompt tokens found in a cache, a second; five-minute windows.
        requests: requests that got their first token, a second; five-minute windows.
        running: mean requests in the batch.
        waiting: mean requests that wait.
        kv: mean share of the KV cache in use.
        kv_peak: highest share of the KV cache in use.
        tails: latencies.
        verdicts: share of each window for which a cause held.
        gauges: other gauges that were asked for, by metric and then by the other labels' values.
    """

    key: Key
    span: Span
    prompt: Fine
    generation: Fine
    cached: Column
    requests: Column
    running: Column
    waiting: Column
    kv: Column
    kv_peak: Column
    tails: Mapping[Timed, Tail] = field(default_factory=dict)
    verdicts: Mapping[str, Column] = field(default_factory=dict)
    gauges: Mapping[Metric, Mapping[tuple[str, ...], Column]] = field(default_factory=dict)


def read_replicas(
    answers: Answers, choice: Choice, grids: Span, gauges: Sequence[Metric] = ()
) -> list[Replica]:
    """Return every replica of which there are tokens in the window, sorted.

    Args:
        answers: the history.
        choice: which replicas are wanted.
        grids: the window.
        gauges: further metrics, with the labels of a replica first.
    """
    reading = _Reading(answers, choice, grids)
    prompt = reading.rates(engine.PROMPT_TOKENS)
    generation = reading.rates(engine.GENERATION_TOKENS)
    cached = reading.rate(engine.PROMPT_TOKENS_CACHED)
    running = reading.gauge(engine.REQUESTS_RUNNING, Part.MEAN)
    waiting = reading.gauge(engine.REQUESTS_WAITING, Part.MEAN)
    kv = reading.gauge(engine.KV_CACHE_USAGE, Part.MEAN)
    kv_peak = reading.gauge(engine.KV_CACHE_USAGE, Part.MAX)
    verdicts = reading.by_label(verdict.VERDICT, Part.MEAN)
    timed = read_tails(answers, choice, grids)
    others = {metric: reading.by_label(metric, Part.LAST) for metric in gauges}
    nothing = unknown(grids.five.count)
    no_rate = Fine(nothing, unknown(grids.minutes.count))
    found: list[Replica] = []
    for key in sorted({*prompt, *generation}):
        timings = timed.get(key, {})
        counted = timings.get(Timed.TIME_TO_FIRST_TOKEN)
        found.append(
            Replica(
                key,
                grids,
                prompt=prompt.get(key, no_rate),
                generation=generation.get(key, no_rate),
                cached=cached.get(key, nothing),
                requests=nothing if counted is None else counted.counts / grids.five.step,
                running=running.get(key, nothing),
                waiting=waiting.get(key, nothing),
                kv=kv.get(key, nothing),
                kv_peak=kv_peak.get(key, nothing),
                tails=timings,
                verdicts={names[0]: one for names, one in verdicts.get(key, {}).items()},
                gauges={metric: table.get(key, {}) for metric, table in others.items()},
            )
        )
    return found


def read_tokens(answers: Answers, choice: Choice, grid: Grid) -> dict[Key, Column]:
    """Return tokens a second of each replica in windows of five minutes.

    Those that were asked for where that is known and more than was served.
    """
    reading = _Reading(answers, choice, Span(grid, Grid(grid.end, 60.0, 0)))
    prompt, generation = reading.rate(engine.PROMPT_TOKENS), reading.rate(engine.GENERATION_TOKENS)
    asked = reading.by_label(capacity.DEMAND, Part.MEAN)
    nothing = unknown(grid.count)
    return {
        key: np.fmax(
            prompt[key] + generation[key], asked.get(key, {}).get(("total",), nothing) / 60.0
        )
        for key in sorted(prompt.keys() & generation.keys())
    }


@dataclass(frozen=True, slots=True)
class _Reading:
    """Asks for the metrics of some replicas."""

    answers: Answers
    choice: Choice
    span: Span

    def gauge(self, metric: Metric, part: Part) -> dict[Key, Column]:
        """Return a gauge by replica."""
        asked = self.answers.ask(self.choice.selector(metric.name), self.span.five, part)
        return {key: one.values for key, one in by_replica(asked)}

    def by_label(self, metric: Metric, part: Part) -> dict[Key, dict[tuple[str, ...], Column]]:
        """Return a gauge by replica and then by the values of its further labels."""
        asked = self.answers.ask(self.choice.selector(metric.name), self.span.five, part)
        names = metric.labels[len(engine.LABELS) :]
        found: defaultdict[Key, dict[tuple[str, ...], Column]] = defaultdict(dict)
        for key, one in by_replica(asked):
            found[key][tuple(one.labels.get(name, "") for name in names)] = one.values
        return dict(found)

    def rate(self, metric: Metric) -> dict[Key, Column]:
        """Return the growth of a counter each second, in windows of five minutes."""
        return self._grown(metric, self.span.five)

    def rates(self, metric: Metric) -> dict[Key, Fine]:
        """Return the growth of a counter each second, as fine as it is known."""
        five, minute = self._grown(metric, self.span.five), self._grown(metric, self.span.minutes)
        nothing = unknown(self.span.minutes.count)
        return {key: Fine(column, minute.get(key, nothing)) for key, column in five.items()}

    def _grown(self, metric: Metric, grid: Grid) -> dict[Key, Column]:
        """Return the growth of a counter in each cell of a grid."""
        if not grid.count:
            return {}
        wider = with_one_before(grid)
        asked = self.answers.ask(self.choice.selector(metric.name), wider)
        return {key: growth(one.times, one.values) for key, one in by_replica(asked)}
