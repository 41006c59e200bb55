"""What the shipped rules cost on a host of eight engines on eight GPUs, all of them at work."""

import gc
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from agent.alerts.engine import RuleEngine
from agent.alerts.group import Site
from agent.app.conclusions import new_pipeline
from agent.app.rules import load_rules, shipped_rule_files
from agent.catalog import gpu, metrics_of
from agent.model import Frame, Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import ReplayClock, play
from agent.store.history import History
from agent.store.target import Target

RECORDING = Path(__file__).parents[1] / "tests" / "recordings" / "vllm-capacity.rec.gz"
ENGINES = 8
GPUS = 8
WARM_UP = 320
MEASURED = 300
START = 1_800_000_000.0


def frames(table: SeriesTable) -> Iterator[Frame]:
    """Yield frames of a busy recording, each engine's series once for every engine."""
    source = SeriesTable()
    pipeline = new_pipeline(source)
    played = [
        play(pipeline, tick, Reading([], [])) for tick in RecordingReader(RECORDING, source).ticks()
    ]
    gpu_ids = [
        table.intern(metric, tuple(_gpu_label(name, number) for name in metric.labels))
        for metric in metrics_of(gpu)
        for number in range(GPUS)
    ]
    # The recording in memory is no part of the agent: collecting garbage must not walk it.
    gc.collect()
    gc.freeze()
    layouts: dict[int, tuple[list[int], list[int]]] = {}
    for second in range(WARM_UP + MEASURED):
        frame = played[second % len(played)]
        known = layouts.get(id(frame.ids))
        if known is None:
            known = layouts[id(frame.ids)] = _spread(frame, source, table)
        ids, places = known
        values = [frame.values[place] for place in places]
        yield Frame(START + second, table, [*ids, *gpu_ids], [*values, *[0.0] * len(gpu_ids)])


def _spread(frame: Frame, source: SeriesTable, table: SeriesTable) -> tuple[list[int], list[int]]:
    """Return the series of all engines, and the place of each one's value in the recording."""
    ids: list[int] = []
    places: list[int] = []
    for place, series_id in enumerate(frame.ids):
        series = source[series_id]
        names = series.metric.labels
        copies = ENGINES if "instance_name" in names else 1
        for number in range(copies):
            labels = [
                f"engine-{number}" if name == "instance_name" else value
                for name, value in zip(names, series.labels, strict=True)
            ]
            ids.append(table.intern(series.metric, labels, suffix=series.suffix, le=series.le))
            places.append(place)
    return ids, places


def _gpu_label(name: str, number: int) -> str:
    """Return the value of a label for one GPU."""
    return {"gpu": str(number), "uuid": f"GPU-{number}"}.get(name, name)


def measure() -> dict[str, float]:
    """Return milliseconds of CPU each second, and of the most expensive tick and group."""
    table = SeriesTable()
    history = History(
        table, clock=ReplayClock(), target=Target(job="inferwatch", instance="host:9745")
    )
    engine = RuleEngine(
        load_rules(shipped_rule_files()),
        table=table,
        tick=1.0,
        site=Site(external_url="http://host:9745"),
    )
    spent: list[float] = []
    layout: list[int] = []
    for number, frame in enumerate(frames(table)):
        layout = layout if layout == frame.ids else [*frame.ids]
        history.append(Frame(frame.time, table, layout, frame.values))
        begun = time.process_time()
        engine.evaluate(frame.time, history)
        if number >= WARM_UP:
            spent.append((time.process_time() - begun) * 1000.0)
    return {
        "rules_series": float(len(layout)),
        "rules_cpu_ms_per_s": statistics.fmean(spent),
        "rules_median_tick_ms": statistics.median(spent),
        "rules_worst_tick_ms": max(spent),
    }


if __name__ == "__main__":
    for key, value in measure().items():
        print(f"{key}: {value:.2f}")
