"""What the agent infers from an engine's page, against what the client of that engine measured.

`python -m evaluation.captures` prints both tables.
"""

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent.analysis.bins import CUTS, Tally, binned, edges
from agent.analysis.replicas import Replicas
from agent.analysis.step_fit import fit
from agent.analysis.step_model import StepTimeModel
from agent.analysis.step_store import load_of
from agent.analysis.step_windows import Stretch, Stretches
from agent.analysis.window import Column, View, Window
from agent.app.conclusions import new_pipeline
from agent.catalog import engine, metrics_of
from agent.model import Metric, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play

ROOT: Final = Path(__file__).parents[1]
RECORDINGS: Final = ROOT / "tests" / "recordings"
CAPTURES: Final = ROOT.parent / "shared" / "captures"
"""Where the clients' own measurements are, outside of the repository; not everybody has them."""

TIMED: Final = ("vllm-ramp", "vllm-capacity")
STEPPED: Final = ("vllm-ramp", "vllm-capacity", "llama-ramp")

_WHOLE: Final = 1e9  # seconds, longer than any recording
_MANY: Final = 5  # requests, fewer of which have no percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One latency in one step of one recording, in seconds.

    Attributes:
        recording: its name.
        step: number of the step of load.
        load: what the client did then: streams, or requests a second.
        quantity: what is timed, and which statistic of it.
        count: requests, or tokens.
        client: what the client measured.
        inferred: what the agent says.
        interpolated: what linear interpolation in the engine's buckets says, for percentiles.
    """

    recording: str
    step: int
    load: float
    quantity: str
    count: int
    client: float
    inferred: float
    interpolated: float | None

    @property
    def error(self) -> float:
        """Of the inferred value, relative to the client's."""
        return self.inferred / self.client - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """How well the law of the step fits a recording.

    Attributes:
        recording: its name.
        stretches: of work, that it is fitted to.
        batch: largest mean batch among them.
        residual: scatter about it, relative.
        explained: share of the variance explained.
        held_out: stretches of the upper half of the batches, that a second fit did not see.
        error: median of its absolute relative error there.
        bias: median of its relative error there.
        covered: share of them within the 90 % interval of the mean, widened by their scatter.
        trusted: share of them at batches up to which that second fit is trusted.
    """

    recording: str
    stretches: int
    batch: float
    residual: float
    explained: float
    held_out: int
    error: float | None
    bias: float | None
    covered: float | None
    trusted: float | None


def view_of(name: str) -> View:
    """Return all that a recording holds of its one replica."""
    table = SeriesTable()
    pipeline = new_pipeline(table)
    window = Window(metrics_of(engine), span=_WHOLE)
    for tick in RecordingReader(RECORDINGS / f"{name}.rec.gz", table).ticks():
        window.append(play(pipeline, tick, Reading([], [])))
    return next(iter(Replicas(window).views(table).values()))


def latencies(captures: Path = CAPTURES) -> Iterator[Row]:
    """Yield what was inferred beside what the client measured.

    Raises:
        FileNotFoundError: the clients' measurements are not there.
    """
    for name in TIMED:
        view = view_of(name)
        requests = _requests(captures / f"{name}.requests.jsonl.gz")
        steps = json.loads((captures / f"{name}.steps.json").read_text())["steps"]
        for step in steps:
            first, last = np.searchsorted(view.times, (step["t0"], step["t1"])).tolist()
            for quantity, inferred, values in _compared(view.rows(first, last), requests):
                for statistic, ours, plain, client in _statistics(inferred, values):
                    yield Row(
                        recording=name,
                        step=step["step"],
                        load=step["x"],
                        quantity=f"{quantity} {statistic}",
                        count=len(values),
                        client=client,
                        inferred=ours,
                        interpolated=plain,
                    )


def step_times() -> Iterator[StepRow]:
    """Yield how well the law fits, and how well it foretells batches that it has not seen."""
    for name in STEPPED:
        stretches = Stretches().observe(view_of(name))
        model = _model(stretches)
        if model is None:
            continue
        largest = model.batch[1]
        seen = [one for one in stretches if one.decode <= largest / 2]
        unseen = [one for one in stretches if one.decode > largest / 2]
        below = _model(seen)
        errors, covered, trusted = [], [], []
        for one in unseen:
            if below is None:
                break
            guess = below.predict(one.prefill, one.decode, 0.0 if isnan(one.kv) else one.kv)
            errors.append(guess.estimate / one.seconds - 1.0)
            # A single stretch scatters about the mean that the interval is for.
            scatter = 1.645 * model.residual * guess.estimate
            half = np.hypot(guess.high - guess.estimate, scatter)
            covered.append(abs(one.seconds - guess.estimate) <= half)
            trusted.append(one.decode <= below.trusted_to_batch)
        yield StepRow(
            recording=name,
            stretches=len(stretches),
            batch=largest,
            residual=model.residual,
            explained=model.explained,
            held_out=len(unseen),
            error=float(np.median(np.abs(errors))) if errors else None,
            bias=float(np.median(errors)) if errors else None,
            covered=float(np.mean(covered)) if errors else None,
            trusted=float(np.mean(trusted)) if errors else None,
        )


def _model(stretches: Sequence[Stretch]) -> StepTimeModel | None:
    """Return the law of all stretches."""
    found = fit(stretches, [load_of(one) for one in stretches])
    return StepTimeModel.of(found, stretches[-1].time) if found else None


def _requests(path: Path) -> list[dict[str, Any]]:
    """Return the requests that ended well."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        every = [json.loads(line) for line in file]
    return [one for one in every if one["status"] == "ok" and one["t_first_token"]]


def _compared(
    view: View, requests: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, Tally, list[float]]]:
    """Yield what was timed, what the histogram has of it, and what the client has."""
    begin, end = float(view.times[0]), float(view.times[-1])
    began = [one for one in requests if begin < one["t_first_token"] <= end]
    ended = [one for one in requests if begin < one["t_last_token"] <= end]
    yield (
        "TTFT",
        _tally(view, engine.TIME_TO_FIRST_TOKEN),
        [one["t_first_token"] - one["t_start"] for one in began],
    )
    yield (
        "time per output token",
        _tally(view, engine.REQUEST_TIME_PER_OUTPUT_TOKEN),
        [
            (one["t_last_token"] - one["t_first_token"]) / (one["completion_tokens"] - 1)
            for one in ended
            if one["completion_tokens"] > 1
        ],
    )
    yield (
        "end to end",
        _tally(view, engine.E2E_LATENCY),
        [one["t_last_token"] - one["t_start"] for one in ended],
    )
    # The client kept no time of each token: those of a request are taken as evenly spaced.
    tokens = seconds = 0.0
    for one in requests:
        first, last = one["t_first_token"], one["t_last_token"]
        within = min(last, end) - max(first, begin)
        if within > 0 and last > first:
            seconds += within
            tokens += within / (last - first) * (one["completion_tokens"] - 1)
    if tokens:
        yield "inter-token", _tally(view, engine.INTER_TOKEN_LATENCY), [seconds / tokens]


def _tally(view: View, metric: Metric) -> Tally:
    """Return what a histogram observed over a view, as the agent adds it up."""
    tally = Tally()
    histogram = view.histogram(metric)
    if histogram is not None:
        weights, totals = binned(histogram)
        tally.add(edges(histogram.bounds), weights.sum(axis=0), float(totals.sum()))
    return tally


def _statistics(
    inferred: Tally, values: Sequence[float]
) -> Iterator[tuple[str, float, float | None, float]]:
    """Yield the name, the inferred, the interpolated and the client's value of each statistic."""
    mean = inferred.mean
    if mean is None or not values:
        return
    yield "mean", mean, None, float(np.mean(values))
    if len(values) < _MANY:
        return
    plain = Tally(inferred.edges, _even(inferred.weights), inferred.sum)
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        ours, interpolated = inferred.quantile(share), plain.quantile(share)
        if ours is not None:
            yield name, ours, interpolated, float(np.quantile(values, share))


def _even(weights: Column) -> Column:
    """Return the observations spread evenly over each of the engine's buckets."""
    buckets = weights.reshape(-1, CUTS).sum(axis=1)
    return np.repeat(buckets / CUTS, CUTS)


def latency_table(rows: Iterable[Row]) -> str:
    """Return what was inferred beside what was measured, as Markdown."""
    lines = [
        "| recording | step | load | what | client (s) | inferred (s) | error | interpolated (s) |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        plain = "" if row.interpolated is None else f"{row.interpolated:.3f}"
        lines.append(
            f"| {row.recording} | {row.step} | {row.load:g} | {row.quantity} | {row.client:.3f} "
            f"| {row.inferred:.3f} | {row.error:+.1%} | {plain} |"
        )
    return "\n".join(lines) + "\n"


def step_time_table(rows: Iterable[StepRow]) -> str:
    """Return how well the law of the step fits and foretells, as Markdown."""
    lines = [
        "| recording | stretches | batch | residual | R² | unseen | error | bias | held | trust |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        known = row.error is not None and row.bias is not None
        signed = f"{row.error:.1%} | {row.bias:+.1%}" if known else "too few below | "
        shares = " | ".join(
            "" if share is None else f"{share:.0%}" for share in (row.covered, row.trusted)
        )
        lines.append(
            f"| {row.recording} | {row.stretches} | {row.batch:.1f} | {row.residual:.1%} "
            f"| {row.explained:.2f} | {row.held_out} | {signed} | {shares} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(latency_table(latencies()) + "\n" + step_time_table(step_times()))
