"""Turns captured pages of a real engine into a recording, through the real collector.

    python -m tests.recordings.convert CAPTURE.metrics.jsonl.gz OUTPUT.rec.gz --engine vllm

The capture has one JSON object a line: `t` Unix seconds, `path`, `code`, `body`. Its pages are
served on loopback one after another, with the captured time as the only clock, and what the
engine's collector makes of them is recorded. Where the capture could not connect, nobody listens.
"""

import argparse
import asyncio
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.catalog import agent as catalog
from agent.config import EngineInstance
from agent.config.settings import Source
from agent.log import ChangeLog
from agent.model import SeriesTable
from agent.pipeline import Pipeline
from agent.recording import RecordingWriter
from agent.runtime import Runtime
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from tests.fakes.clock import ManualClock
from tests.fakes.engine_server import EngineServer, capture

FACTS: Mapping[str, Mapping[str, bytes]] = {
    "vllm": {
        "/version": capture("vllm-version.json"),
        "/v1/models": capture("vllm-v1-models.json"),
    },
    "llamacpp": {
        "/props": capture("llama-props.json"),
        "/v1/models": capture("llama-v1-models.json"),
    },
}


def scrapes(path: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield what was answered at each tick, by path."""
    tick: dict[str, dict[str, Any]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            answer = json.loads(line)
            if answer["path"] in tick:
                yield tick
                tick = {}
            tick[answer["path"]] = answer
    if tick:
        yield tick


async def convert(source: Path, target: Path, *, engine: str, name: str, note: str) -> None:
    """Write the recording."""
    table = SeriesTable()
    clock = ManualClock()
    pipeline = Pipeline(table)
    writer = RecordingWriter(target, table, header={"note": note})
    runtime = Runtime(
        pipeline,
        clock=clock,
        interval=1.0,
        log=ChangeLog(),
        record=lambda time, now, looks: writer.write(
            time,
            looks,
            {key: health.spec for key, health in pipeline.sources.items()},
            [],
            now=now,
        ),
    )
    server = EngineServer(dict(FACTS[engine]))
    if engine == "llamacpp":  # the header of the capture, by which a restart is seen
        server.extra_headers["Process-Start-Time-Unix"] = "3498305329"
    await server.start()
    port = int(server.url.rpartition(":")[2])
    collector = EngineCollector(
        EngineInstance(name=name, engine=engine, url=f"http://127.0.0.1:{port}"),
        engine=ENGINES[engine],
        table=table,
        clock=clock,
        max_page_size=1 << 24,
    )
    up_id = table.intern(catalog.ENGINE_UP, (engine, name))
    runtime.add(collector, Source(timeout=5.0, stale_after=10.0), up_id=up_id)
    for tick in scrapes(source):
        answer = next(iter(tick.values()))
        clock.advance(answer["t"] - clock.time())
        if answer["code"] is None:
            await server.aclose()
        for path, document in tick.items():
            server.documents[path] = document["body"].encode()
        await runtime.tick()
    await runtime.aclose()
    await server.aclose()
    writer.close()


def main() -> None:
    """Convert one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--engine", choices=sorted(FACTS), required=True)
    parser.add_argument("--name", required=True, help="the label instance_name")
    parser.add_argument("--note", default="")
    given = parser.parse_args()
    asyncio.run(
        convert(given.source, given.target, engine=given.engine, name=given.name, note=given.note)
    )


if __name__ == "__main__":
    main()
