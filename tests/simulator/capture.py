"""Writes a simulated run in the form in which real engines were captured: one scrape a line."""

import gzip
import json
import random
from pathlib import Path

from tests.simulator.simulation import Simulation


def write(simulation: Simulation, path: Path, *, number: int = 0) -> None:
    """Run a simulation to its end and write the pages of one of its servers.

    Args:
        simulation: at its beginning.
        path: a `*.metrics.jsonl.gz`.
        number: of the server.
    """
    replica = simulation.replicas[number]
    dice = random.Random(0)
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for second in range(simulation.seconds):
            simulation.step(second)
            line = {
                "t": simulation.start + second + 1.0,
                "path": "/metrics",
                "dt": round(dice.uniform(0.004, 0.012), 6),
                "code": 200 if replica.up else None,
                "inflight": sum(one.running + one.waiting for one in replica.engines),
                "body": replica.page().decode() if replica.up else "",
            }
            file.write(json.dumps(line) + "\n")
