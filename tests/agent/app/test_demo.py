"""The recording that comes with the agent shows what the agent can say."""

from itertools import islice
from pathlib import Path

from agent.app.conclusions import Conclusions
from agent.commands.demo import AHEAD
from agent.config import Settings
from agent.model import Reading, SeriesTable
from agent.recording import RecordingReader
from agent.replay import play

DEMO = Path(__file__).parents[3] / "agent" / "demo.rec.gz"
LARGEST = 160_000  # it is in every wheel


def test_the_demo_shows_who_runs_where_and_what_the_memory_is_spent_on() -> None:
    """Within the first minute no table is empty: processes, GPUs, memory and a verdict."""
    conclusions = Conclusions(Settings())
    table = SeriesTable()
    pipeline = conclusions.pipeline(table)
    for tick in islice(RecordingReader(DEMO, table).ticks(), 60):
        play(pipeline, tick, Reading([], []))
    found = conclusions.as_json()
    (replica,) = found["replicas"]
    assert replica["verdict"]["cause"] == "healthy"
    assert found["placement"]
    (memory,) = found["memory"]
    assert {"weights", "kv_cache", "other", "free"} <= set(memory["parts"])


def test_the_first_screen_of_the_demo_shows_an_engine_at_its_limit() -> None:
    """What is played at once is long enough for a verdict with advice and for a capacity."""
    conclusions = Conclusions(Settings())
    table = SeriesTable()
    pipeline = conclusions.pipeline(table)
    for tick in islice(RecordingReader(DEMO, table).ticks(), round(AHEAD)):
        play(pipeline, tick, Reading([], []))
    (replica,) = conclusions.capacity()["replicas"]
    assert replica["identifiable"]
    assert replica["verdict"]["cause"] == "sequence_limit"
    assert "max-num-seqs" in replica["verdict"]["suggestion"]


def test_the_demo_says_what_of_it_is_not_real() -> None:
    """Its GPUs are a stand-in's, and the note that the page shows says so."""
    reader = RecordingReader(DEMO, SeriesTable())
    assert "stand-in for NVIDIA's driver" in str(reader.header["note"])
    assert DEMO.stat().st_size < LARGEST
