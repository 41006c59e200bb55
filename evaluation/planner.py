"""A day in twenty minutes on a real vLLM, and what was said of its capacity against the truth.

    python -m evaluation.planner

The load rises and falls as over a day while the agent watches, nothing else asking it but the
reader of its capacity. How high, is measured before the agent begins: machines differ. Then the
same server is saturated: what it carries with as many users as its batch has places, and the load
of a climb up to which the targets hold, is the truth that the agent could not see before. Writes
its part of `docs/evaluation.md` and `build/planner.json`.
"""

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from evaluation.faults_client import Asked, Load, within
from evaluation.faults_cost import Meter, Others, paired
from evaluation.faults_host import (
    KEY,
    ROOT,
    TARGETS,
    Engine,
    agent,
    node_exporter,
    prometheus,
)
from evaluation.planner_page import FIGURES, KEPT, write
from tests.e2e.process import AgentProcess
from tests.e2e.vllm import vllm_folder

FOLDER: Final = ROOT / "build" / "planner"

DAY: Final = 1080.0
"""Seconds of the day."""

PEAK: Final = 0.6
NIGHT: Final = 0.07
"""The highest hour and the night, as shares of what the server carried before the day."""

PROBED: Final = 30.0
"""Seconds for which that is measured."""

SATURATED: Final = 90.0
STREAMS: Final = 24
STEP: Final = 30.0
HIGHER: Final = 1.2
"""Each step of the climb against the one before, until the targets no longer hold."""

CLOSE: Final = 1.06
"""The lowest load that missed them against the highest that kept them, which ends the climb."""

MOST_STEPS: Final = 12
BLOCK: Final = 12.0
PAIRS: Final = 8
STEADY: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the agent said of capacity at one time.

    Attributes:
        at: seconds from the beginning of the day.
        asked: tokens a minute that users asked for in the minute before.
        within: share of the requests of that minute that kept both targets.
        capacity: tokens a minute under the targets; estimate, low and high.
        stability: tokens a minute that it can carry at all; likewise.
        binding: what binds.
        reason: why nothing is said, if so.
        others: cores that worked on what is no part of the run, mean since the last time.
    """

    at: float
    asked: float
    within: float | None
    capacity: tuple[float, float, float] | None
    stability: tuple[float, float, float] | None
    binding: str | None
    reason: str | None
    others: float


def rate(share: float, *, least: float, most: float) -> float:
    """Return the requests a second at a share of the day: a night, a rise, two humps, an evening.

    Args:
        share: from 0 at midnight to 1.
        least: requests a second of the night.
        most: of the highest hour.
    """
    hump = 0.75 * _bell(share, 0.45, 0.10) + _bell(share, 0.70, 0.11)
    return least + (most - least) * min(hump, 1.0)


def _bell(value: float, middle: float, width: float) -> float:
    return math.exp(-0.5 * ((value - middle) / width) ** 2)


def tokens_a_minute(asked: Sequence[Asked], begin: float, end: float) -> float:
    """Return the tokens a minute of the requests that began in a time, prompts and answers."""
    begun = [one.prompt + one.wanted for one in asked if begin <= one.begun < end]
    return 60.0 * sum(begun) / (end - begin)


def carried(asked: Sequence[Asked], begin: float, end: float) -> float:
    """Return the tokens a minute that were served in a time.

    A request counts by the share of its time that lies within it.
    """
    total = 0.0
    for one in asked:
        if one.whole and one.ended > one.begun:
            inside = min(one.ended, end) - max(one.begun, begin)
            total += max(inside, 0.0) / (one.ended - one.begun) * (one.prompt + one.tokens)
    return 60.0 * total / (end - begin)


def _said(running: AgentProcess, load: Load, began: float, others: Others) -> Said:
    """Return what the agent says now, beside the minute before."""
    now = time.time()
    found = json.loads(running.get("/api/v1/capacity")[1])["replicas"]
    one: dict[str, Any] = found[0] if found else {}
    done = [a for a in load.asked if a.ended and now - 60.0 <= a.begun]

    def interval(name: str) -> tuple[float, float, float] | None:
        value = one.get(name)
        return (value["estimate"], value["low"], value["high"]) if value else None

    return Said(
        at=now - began,
        asked=tokens_a_minute(load.asked, now - 60.0, now),
        within=within(done, TARGETS),
        capacity=interval("capacity_tokens_per_minute"),
        stability=interval("stability_limit_tokens_per_minute"),
        binding=one.get("binding_limit"),
        reason=one.get("not_identifiable_because"),
        others=others.cores(),
    )


async def _probe(engine: Engine) -> float:
    """Return the requests a second that a server carries, before anybody watches."""
    load = Load(url=engine.url, key=KEY)
    begin = time.time()
    await load.closed(STREAMS, PROBED, seed=3)
    # The first seconds are those of a cold server.
    done = [one for one in load.asked if one.whole and one.ended >= begin + 10.0]
    return len(done) / (time.time() - begin - 10.0)


async def _day(running: AgentProcess, load: Load, others: Others, *, most: float) -> list[Said]:
    """Let a day pass whose highest hour has so many requests a second; return what was said."""
    began = time.time()
    said: list[Said] = []
    while (now := time.time() - began) < DAY:
        load.rate = rate(now / DAY, least=most * NIGHT / PEAK, most=most)
        if now >= 60.0 * (len(said) + 1):
            said.append(await asyncio.to_thread(_said, running, load, began, others))
        await asyncio.sleep(1.0)
    said.append(await asyncio.to_thread(_said, running, load, began, others))
    load.rate = 0.0
    return said


def further(steps: Sequence[Mapping[str, Any]], first: float) -> float | None:
    """Return the requests a second of the next step of a climb, None at its end.

    It goes up until a step misses the targets, or down until one keeps them, then halves what is
    between.

    Args:
        steps: those made: `rate`, and the share `within` both targets.
        first: requests a second of the first.
    """
    if not steps:
        return first
    missed = min((one["rate"] for one in steps if one["within"] < KEPT), default=math.inf)
    below = [one["rate"] for one in steps if one["rate"] < missed]
    kept = max(below, default=0.0)
    if len(steps) >= MOST_STEPS or missed <= CLOSE * kept:
        return None
    if missed == math.inf:
        return HIGHER * kept
    return math.sqrt(kept * missed) if kept else missed / HIGHER


async def _truth(load: Load, others: Others, *, first: float) -> dict[str, Any]:
    """Climb to what the server can do within the targets, then saturate it."""
    steps: list[dict[str, Any]] = []
    others.cores()
    while (asked := further(steps, first)) is not None:
        load.rate = asked
        begin = time.time()
        await asyncio.sleep(STEP)
        end = time.time()
        load.rate = 0.0
        # What waits in vain here is not to be in the way of the next step.
        await asyncio.gather(*load.under_way, return_exceptions=True)
        await asyncio.sleep(5.0)
        begun = [one for one in load.asked if begin + 5.0 <= one.begun < end]
        steps.append(
            {
                "rate": asked,
                "asked": tokens_a_minute(load.asked, begin, end),
                "carried": carried(load.asked, begin + 5.0, end),
                "within": within(begun, TARGETS),
                "requests": len(begun),
                "others": others.cores(),
            }
        )
    begin = time.time()
    await load.closed(STREAMS, SATURATED)
    full = carried(load.asked, begin + 10.0, begin + SATURATED)
    return {
        "carried": full,
        "streams": STREAMS,
        "seconds": SATURATED,
        "others": others.cores(),
        "steps": steps,
    }


def _report(folder: Path, begin: float, end: float) -> None:
    """Keep what `inferwatch report` says of the day."""
    for form, name in (("html", "report.html"), ("markdown", "report.md"), ("json", "report.json")):
        subprocess.run(
            [
                *(sys.executable, "-m", "agent", "report", "--config", folder / "config.yaml"),
                *("--from", f"{begin:.0f}", "--to", f"{end:.0f}", "--format", form),
                *("--output", FOLDER / name),
            ],
            check=False,
        )


async def run(engine: Engine, folder: Path) -> dict[str, Any]:
    """Let a day pass on an engine that is up, find the truth, and return the figures."""
    most = PEAK * await _probe(engine)
    with (
        agent(folder, alertmanager=None, state=folder / "state") as running,
        node_exporter(folder) as (node, port),
        prometheus(folder, engine=engine.port, alertmanager=None, others=(port,)) as peer,
    ):
        load = Load(url=engine.url, key=KEY)
        users = asyncio.create_task(load.run())
        begin = time.time()
        watched = {
            "inferwatch": running.process.pid,
            "Prometheus": peer,
            "node_exporter": node,
            "vLLM": engine.pid,
        }
        meter, others = Meter(watched), Others([*watched.values()])
        said = await _day(running, load, others, most=most)
        cost, end = meter.read(), time.time()
        day = [one for one in load.asked if one.ended]
        figures: dict[str, Any] = {
            "day": {
                "began": begin,
                "seconds": end - begin,
                "most": most,
                "requests": len(day),
                "within": within(day, TARGETS),
                "said": [asdict(one) for one in said],
            },
            "cost": [asdict(one) for one in cost],
        }
        _keep(figures)
        figures["truth"] = await _truth(load, others, first=most)
        _keep(figures)
        load.rate = STEADY
        pairs = await paired(load, running.process.pid, pairs=PAIRS, block=BLOCK)
        figures["paired"] = [asdict(one) for one in pairs]
        _keep(figures)
        # Only now: the newest five to seven minutes of a history are not on disk yet.
        await asyncio.to_thread(_report, folder, begin, end)
        users.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await users
    return figures


def _keep(figures: dict[str, Any]) -> None:
    """Write what is known so far: what comes later may fail."""
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run it all and write the figures."""
    programs = vllm_folder()
    if programs is None:
        print("needs vLLM: see INFERWATCH_TEST_VLLM", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        engine = Engine(Path(name), programs)
        try:
            engine.start()
            asyncio.run(run(engine, Path(name)))
        finally:
            engine.end()
    write(json.loads(FIGURES.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
