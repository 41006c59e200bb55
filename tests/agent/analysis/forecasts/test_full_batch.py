"""A limit on sequences bounds what the KV cache holds, whatever waits; real pages and simulated."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.analysis.forecasts.kv import KvForecast, KvForecaster
from agent.analysis.replicas import Replicas
from agent.analysis.window import Window
from agent.catalog import engine
from agent.model import Frame, Reading, SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingReader
from agent.replay import play
from evaluation.forecast_rules import LIKELY, SURE
from evaluation.forecasts import WANTED
from tests.simulator import small_caches
from tests.simulator.simulation import Simulation

STARVED = Path(__file__).parents[3] / "recordings" / "vllm-starved.rec.gz"


class Watched:
    """The forecasts of one engine, and what it showed."""

    def __init__(self) -> None:
        self.table = SeriesTable()
        self.told: list[KvForecast] = []
        self.waiting: list[float] = []
        self._window = Window(WANTED)
        self._replicas = Replicas(self._window)
        self._forecaster = KvForecaster()

    def take(self, frame: Frame) -> None:
        """Take note of a frame."""
        self._window.append(frame)
        for view in self._replicas.views(self.table).values():
            self.told.append(self._forecaster.observe(view))
            self.waiting.append(float(view[engine.REQUESTS_WAITING][-1]))


def simulated(simulation: Simulation, seconds: int) -> Watched:
    """Return what is foreseen of a simulated engine."""
    watched = Watched()
    simulation.seconds = seconds
    for frame, _truth in simulation.run(watched.table):
        watched.take(frame)
    return watched


def test_a_starved_engine_with_a_full_batch_is_not_about_to_be_full():
    """Of a real vLLM with 16 of 16 sequences, 119 waiting and 78 % used nothing is foreseen."""
    watched = Watched()
    pipeline = Pipeline(watched.table)
    for tick in RecordingReader(STARVED, watched.table).ticks():
        watched.take(play(pipeline, tick, Reading([], [], [])))
    assert max(watched.waiting) > 100.0
    assert any(found.known for found in watched.told)
    assert max(found.soon or 0.0 for found in watched.told) < LIKELY
    assert all(found.exhaustion is None for found in watched.told)


@pytest.mark.parametrize("build", [small_caches.kv_limited_queue, small_caches.kv_starved])
def test_a_queue_for_places_does_not_fill_the_cache(
    build: Callable[[random.Random], Simulation],
):
    """However many wait for a place in the batch, the batch is what holds the cache."""
    watched = simulated(build(random.Random(4)), 300)
    assert max(watched.waiting) > 10.0
    assert max(found.soon or 0.0 for found in watched.told) < SURE


def test_a_limit_above_what_fits_hides_nothing():
    """Where the batch may be larger than what the cache holds, the end is foreseen as ever."""
    simulation = small_caches.kv_small_ramp(random.Random(4))
    watched = simulated(simulation, 400)
    end = min(simulation.members[0].engines[0].shortages)
    before = watched.told[: int(end)]
    assert end > simulation.trend
    assert max(found.soon or 0.0 for found in before) >= LIKELY
    assert any(found.soon == 1.0 for found in watched.told[int(end) :])
