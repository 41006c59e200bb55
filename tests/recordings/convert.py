"""Turns captured pages of a real engine into a recording, through the real collector.

    python -m tests.recordings.convert CAPTURE.metrics.jsonl.gz OUTPUT.rec.gz --engine vllm

The captures hold pages alone; what the engines answer elsewhere is that of other captures of them.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.model import SeriesTable
from agent.recording import RecordingWriter
from agent.recording.scrapes import CaptureReader
from collectors.captured import CaptureClient, captured_ticks
from tests.fakes.engine_server import capture

DOCUMENTS: Mapping[str, Mapping[str, bytes]] = {
    "vllm": {
        "/version": capture("vllm-version.json"),
        "/v1/models": capture("vllm-v1-models.json"),
    },
    "llamacpp": {
        "/props": capture("llama-props.json"),
        "/v1/models": capture("llama-v1-models.json"),
    },
}

# The header of the capture, by which a restart is seen.
HEADERS: Mapping[str, Mapping[str, str]] = {
    "llamacpp": {"process-start-time-unix": "3498305329"},
}


def convert(source: Path, target: Path, *, engine: str, name: str, note: str) -> None:
    """Write the recording."""
    table = SeriesTable()
    reader = CaptureReader(source, lambda sentence: print(sentence, file=sys.stderr))  # noqa: T201
    client = CaptureClient(DOCUMENTS[engine], HEADERS.get(engine))
    writer = RecordingWriter(target, table, header={"note": note})
    specs = {}
    for tick in captured_ticks(reader, table, client=client, name=name):
        specs |= {spec.name: spec for spec in tick.appeared}
        writer.write(tick.time, tick.looks, specs, tick.gone, now=tick.now)
    writer.close()


def main() -> None:
    """Convert one capture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--engine", choices=sorted(DOCUMENTS), required=True)
    parser.add_argument("--name", required=True, help="the label instance_name")
    parser.add_argument("--note", default="")
    given = parser.parse_args()
    convert(given.source, given.target, engine=given.engine, name=given.name, note=given.note)


if __name__ == "__main__":
    main()
