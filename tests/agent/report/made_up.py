"""Some days of two engines, written by the history itself with the names that the agent uses."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.alerts.recorded import ALERTS, RecordedSeries
from agent.catalog import capacity, cost, engine, latency, verdict
from agent.catalog.verdict import Cause
from agent.model import Frame, Metric, SeriesTable
from agent.store.history import History
from agent.store.series import STALE
from agent.store.target import Target
from agent.store.writer import Limits
from tests.fakes.clock import ManualClock

START = 1_800_230_400.0
"""Monday, 2027-01-18T00:00Z."""

STEP = 60.0
DAY = 86_400.0
CHAT = ("vllm", "chat", "org/chat-7b", "0")
EDGE = ("llamacpp", "edge", "edge-3b", "")
TARGET = Target(job="inferwatch", instance="gpu-host:9745")

_BOUNDS = ("0.1", "0.25", "0.5", "1", "2.5", "5", "+Inf")
_GAPS = ("0.01", "0.025", "0.05", "0.075", "0.15", "+Inf")
_ABLE = 60_000.0


class Engine:
    """Counts what an engine would."""

    def __init__(self, key: tuple[str, ...]) -> None:
        self.key = key
        self.counts: dict[tuple[Metric, str, str], float] = {}

    def add(self, metric: Metric, amount: float, suffix: str = "", le: str = "") -> None:
        """Count."""
        place = (metric, suffix, le)
        self.counts[place] = self.counts.get(place, 0.0) + amount

    def observe(self, metric: Metric, bounds: Sequence[str], value: float, count: float) -> None:
        """Count observations of which 95 of 100 are at most a value, evenly down to zero."""
        for le in bounds:
            below = min(1.0, 0.95 * float(le) / value) if le != "+Inf" else 1.0
            self.add(metric, count * below, "_bucket", le)
        self.add(metric, count * value / 2, "_sum")
        self.add(metric, count, "_count")

    def samples(self, table: SeriesTable) -> Iterator[tuple[int, float]]:
        """Yield every counter."""
        for (metric, suffix, le), value in self.counts.items():
            yield table.intern(metric, self.key, suffix=suffix, le=le), value


def demand_at(time: float) -> float:
    """Return tokens a minute that are asked of the chat engine: a day's wave, more each day."""
    passed = time - START
    wave = 0.55 - 0.45 * math.cos(2 * math.pi * (passed / DAY - 0.1))
    return 56_000.0 * wave * (1 + 0.02 * passed / DAY)


def write(path: Path, *, days: float = 1.25, full_age: float = 0.5 * DAY) -> float:
    """Write a history and return the Unix seconds of its end.

    The chat engine restarts after three quarters of a day; the agent did not run for half an hour
    a quarter of a day before the end. Capacity is known from the second quarter of a day on.
    """
    table, clock = SeriesTable(), ManualClock(time=START)
    history = History(
        table, clock=clock, path=path, target=TARGET, limits=Limits(full_age=full_age)
    )
    recorded = RecordedSeries(table)
    chat, edge = Engine(CHAT), Engine(EDGE)
    end = START + days * DAY
    time = START
    while time < end - STEP:
        time += STEP
        clock.set_time(time)
        if time == START + 0.75 * DAY:
            chat = Engine(CHAT)
        if end - DAY / 4 - 1800 < time <= end - DAY / 4:
            continue
        samples = dict(_row(table, chat, edge, time))
        history.append(Frame(time, table, list(samples), list(samples.values())))
        _alert(history, recorded, time)
        # Each time: what is full still and what is not goes by the clock when it is written.
        assert history.drain(10.0)
    assert history.close()
    return end


def _row(
    table: SeriesTable, chat: Engine, edge: Engine, time: float
) -> Iterator[tuple[int, float]]:
    """Yield the samples of a tick."""
    asked = demand_at(time)
    load = asked / _ABLE
    served = min(asked, 1.1 * _ABLE)
    chat.add(engine.PROMPT_TOKENS, served * 0.75)
    chat.add(engine.PROMPT_TOKENS_CACHED, served * 0.15)
    chat.add(engine.GENERATION_TOKENS, served * 0.25)
    first = 0.2 + 0.6 * load + max(0.0, load - 0.85) * 12
    gap = 0.03 + 0.03 * load
    requests = served / 800
    chat.observe(engine.TIME_TO_FIRST_TOKEN, _BOUNDS, first, requests)
    chat.observe(engine.INTER_TOKEN_LATENCY, _GAPS, gap, served * 0.25)
    chat.observe(engine.REQUEST_TIME_PER_OUTPUT_TOKEN, _GAPS, gap * 0.9, requests)
    edge.add(engine.PROMPT_TOKENS, 900.0)
    edge.add(engine.GENERATION_TOKENS, 300.0)
    yield from chat.samples(table)
    yield from edge.samples(table)
    held = min(1.0, 0.1 + 0.5 * load)
    waiting = max(0.0, load - 0.9) * 60
    for metric, value in (
        (engine.REQUESTS_RUNNING, 24 * min(1.0, load)),
        (engine.REQUESTS_WAITING, waiting),
        (engine.KV_CACHE_USAGE, held),
        (engine.LONGEST_SEQUENCE, 3_900.0),
    ):
        yield table.intern(metric, CHAT), value
    for metric, value in ((engine.MAX_NUM_SEQS, 24.0), (engine.MAX_MODEL_LEN, 8_192.0)):
        yield table.intern(metric, CHAT[:2]), value
    for quantity, value in (
        (latency.Quantity.TIME_TO_FIRST_TOKEN, first),
        (latency.Quantity.INTER_TOKEN, gap),
    ):
        yield table.intern(latency.LATENCY_P95, (*CHAT, quantity)), value
    cause = Cause.SEQUENCE_LIMIT if waiting else Cause.HEALTHY
    for one in Cause:
        yield table.intern(verdict.VERDICT, (*CHAT, one)), float(one is cause)
    if time > START + DAY / 4:
        yield from _able(table, asked)


def _able(table: SeriesTable, asked: float) -> Iterator[tuple[int, float]]:
    """Yield what the agent says of capacity and cost."""
    for metric, factor in ((capacity.CAPACITY, 1.0), (capacity.STABILITY, 1.15)):
        for bound, width in (("low", 0.92), ("estimate", 1.0), ("high", 1.07)):
            for phase, share in (("total", 1.0), ("prompt", 0.75), ("generation", 0.25)):
                value = _ABLE * factor * width * share
                yield table.intern(metric, (*CHAT, phase, bound)), value
    yield table.intern(capacity.DEMAND, (*CHAT, "total")), asked
    for limit in ("inter_token", "time_to_first_token", "sequence_limit"):
        yield table.intern(capacity.BINDING, (*CHAT, limit)), float(limit == "sequence_limit")
    for source in capacity.Source:
        learned = source is capacity.Source.LEARNED
        yield table.intern(capacity.SOURCE, (*CHAT, source)), float(learned)
    yield table.intern(cost.COST, (*CHAT, "EUR")), 2.4


def _alert(history: History, recorded: RecordedSeries, time: float) -> None:
    """Have an alert wait for five minutes and fire for twenty on the first afternoon."""
    fires, ends = START + 0.6 * DAY, START + 0.6 * DAY + 1200
    labels = (
        ("__name__", ALERTS), ("alertname", "EngineTimeToFirstTokenHigh"), ("engine", "vllm"),
        ("instance_name", "chat"), ("severity", "warning"),
    )  # fmt: skip
    for state, start, stop in (("pending", fires - 300, fires), ("firing", fires, ends)):
        own = recorded.intern(tuple(sorted([*labels, ("alertstate", state)])))
        if start <= time < stop:
            history.record(time, [own], [1.0])
        elif time == stop:
            history.record(time, [own], [STALE])
