"""Captured pages through the collector: what it says of them is what it says of a server."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agent.catalog import engine as catalog
from agent.model import RecordingError, SeriesTable
from agent.recording import RecordedTick
from agent.recording.scrapes import CaptureReader
from collectors.captured import captured_ticks
from tests.fakes.engine_server import capture

VLLM = capture("vllm-04-saturated.prom").decode()
LLAMA = capture("llama-03-saturated.prom").decode()
SLOTS = capture("llama-03-saturated-slots.json").decode()
START = 1_800_000_000.0


def _file(folder: Path, *answers: tuple[float, str, int | None, str]) -> Path:
    """Write a capture of these times, paths, codes and bodies."""
    path = folder / "run 7.metrics.jsonl.gz"
    keys = ("t", "path", "code", "body")
    lines = [json.dumps(dict(zip(keys, answer, strict=True))) for answer in answers]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def _ticks(path: Path, table: SeriesTable) -> list[RecordedTick]:
    """Return the ticks of a capture."""
    return [*captured_ticks(CaptureReader(path, lambda _told: None), table)]


def _values(table: SeriesTable, tick: RecordedTick) -> dict[Any, float]:
    """Return the values of the only look of a tick, by metric."""
    reading = tick.looks[0].reading
    assert reading is not None
    return {
        table[series].metric: value
        for series, value in zip(reading.ids, reading.values, strict=True)
    }


def test_the_engine_is_told_by_its_page(tmp_path: Path):
    """A page of vLLM is read as one of vLLM, under the name of the file."""
    table = SeriesTable()
    ticks = _ticks(_file(tmp_path, *[(START + s, "/metrics", 200, VLLM) for s in range(3)]), table)
    assert [tick.time - START for tick in ticks] == [0, 1, 2]
    assert [spec.name for tick in ticks for spec in tick.appeared] == ["engine/run_7"]
    values = _values(table, ticks[0])
    assert values[catalog.REQUESTS_WAITING] == 25
    assert values[catalog.KV_CACHE_CAPACITY] > 0


def test_slots_of_llama_cpp_give_kv_use_and_their_number(tmp_path: Path):
    """Where only /slots was captured beside the page, KV use and the sequence limit follow."""
    table = SeriesTable()
    answers = [(START, "/metrics", 200, LLAMA), (START + 0.01, "/slots", 200, SLOTS)]
    (tick,) = _ticks(_file(tmp_path, *answers), table)
    values = _values(table, tick)
    assert values[catalog.MAX_NUM_SEQS] == 4
    assert values[catalog.KV_CACHE_CAPACITY] == 4096
    assert 0 < values[catalog.KV_CACHE_USAGE] <= 1


def test_a_scrape_that_failed_is_a_failed_look(tmp_path: Path):
    """Nobody there, an error and a page cut short: each is one failed look, and it goes on."""
    answers = [
        (START, "/metrics", None, ""),
        (START + 1, "/metrics", 500, "oh"),
        (START + 2, "/metrics", 200, VLLM[:-7] + "garbage{"),
        (START + 3, "/metrics", 200, VLLM),
    ]
    errors = [tick.looks[0].error for tick in _ticks(_file(tmp_path, *answers), SeriesTable())]
    assert errors[0].startswith("nobody answered")
    assert errors[1] == "/metrics was answered with 500"
    assert errors[2]
    assert errors[3] == ""


def test_rare_scrapes_stay_fresh(tmp_path: Path):
    """A page each 15 s holds until the next: values go stale after more than two are missing."""
    answers = [(START + 15 * s, "/metrics", 200, VLLM) for s in range(4)]
    first, *_others = _ticks(_file(tmp_path, *answers), SeriesTable())
    assert first.appeared[0].stale_after == pytest.approx(37.5)


def test_pages_of_something_else_are_refused(tmp_path: Path):
    """Pages of no known engine are an error that says which are known."""
    path = _file(tmp_path, (START, "/metrics", 200, "up 1\n"))
    with pytest.raises(RecordingError, match=r"none of its pages is one of vLLM or llama\.cpp"):
        _ticks(path, SeriesTable())
