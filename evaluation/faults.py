"""Breaks a real vLLM in seven ways and writes down who said what, and when: `docs/reliability.md`.

    python -m evaluation.faults [NAME…]

Each fault is made on a server that is up and has users. The agent runs as a process with its
default configuration, told only where to serve, whom to tell, where to keep its state and where
the engine's log is; beside it a Prometheus scrapes vLLM with rules that are commonly published.
Both tell one Alertmanager, and what it passes on is stamped. `build/reliability.json` has the
figures. Takes half an hour, root for a small file system, and control groups of version 1 for a
limit on CPU time. With names ("CPU starved") only these faults are made, and take the place of
those of the last whole run; the page says so of each.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from evaluation.faults_client import Load, within
from evaluation.faults_cost import Meter
from evaluation.faults_host import (
    KEY,
    MAX_LENGTH,
    ROOT,
    TARGETS,
    Engine,
    agent,
    node_exporter,
    prometheus,
)
from evaluation.faults_made import FAULTS, Host
from evaluation.faults_page import FIGURES, write
from evaluation.faults_seen import Injected, Told, Verdict, again, figures, harm, told
from tests.e2e.alertmanager import running as alertmanager
from tests.e2e.process import AgentProcess
from tests.e2e.vllm import vllm_folder

KEPT: Final = ROOT / "build" / "reliability"

WELL: Final = 90.0
"""Seconds for which all is well before the first fault."""

USUAL: Final = 4.0
"""Requests a second of the users, a quarter of what the server can do when the host is quiet."""


async def _watch(running: AgentProcess, verdicts: list[Verdict]) -> None:
    """Keep every change of verdict, asking each second."""
    last = ""
    while True:
        with contextlib.suppress(OSError, ValueError):
            text = (await asyncio.to_thread(running.get, "/api/v1/engines"))[1]
            for one in json.loads(text)["replicas"][:1]:
                verdict = one["verdict"] or {}
                if verdict.get("cause", "") != last:
                    last = verdict.get("cause", "")
                    verdicts.append(
                        Verdict(time=time.time(), cause=last, sentence=verdict["sentence"])
                    )
        await asyncio.sleep(1.0)


async def _make(host: Host, names: Collection[str]) -> list[Injected]:
    """Make these faults, one after the other, each on a server that is well."""
    await asyncio.sleep(WELL)
    made: list[Injected] = []
    for fault in FAULTS:
        if fault.name not in names:
            continue
        began = time.time()
        print(f"{began:.1f} {fault.name}", file=sys.stderr, flush=True)
        await fault.make(host)
        over = time.time()
        await asyncio.sleep(fault.after)
        made.append(
            Injected(
                name=fault.name,
                what=fault.what,
                began=began,
                over=over,
                until=time.time(),
                right=fault.right,
                wanted=fault.wanted,
            )
        )
    return made


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 128 MiB for the block."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def _run(folder: Path, engine: Engine, names: Collection[str]) -> dict[str, Any]:
    """Run it all and return the figures."""
    with (
        small_disk(folder / "state") as state,
        alertmanager(folder, group_by="'...'") as (receiver, pager),
        agent(folder, alertmanager=receiver.url, state=state, engine=engine) as running,
        node_exporter(folder) as (node, port),
        prometheus(folder, engine=engine.port, alertmanager=receiver.url, others=(port,)) as peer,
    ):
        users = Load(url=engine.url, key=KEY, rate=USUAL)
        host = Host(engine=engine, users=users, state=state, loads=[users])
        began = time.time()
        meter = Meter(
            {"inferwatch": running.process.pid, "Prometheus": peer, "node_exporter": node}
        )
        tasks = [
            asyncio.create_task(users.run()),
            asyncio.create_task(_watch(running, host.verdicts)),
        ]
        try:
            made = await _make(host, names)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        cost = meter.read()
        instance = f"vllm-{engine.port}"
        heard = [
            one
            for stamp, body in zip(pager.stamps, pager.bodies, strict=True)
            for one in told(stamp, body, instance=instance)
        ]
        incidents = _incidents(folder, instance=instance)
        (KEPT / "agent.log").write_bytes(running.log.read_bytes())
    return _figures(host, made, heard, incidents, began) | {"cost": [asdict(one) for one in cost]}


def _incidents(folder: Path, *, instance: str) -> list[dict[str, Any]]:
    """Return what `inferwatch incidents` lists of an engine and the host; keep the post mortems."""
    command = [sys.executable, "-m", "agent", "incidents", "--config", str(folder / "config.yaml")]
    listed = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
    every: list[dict[str, Any]] = json.loads(listed.stdout)
    found = [one for one in every if one["engine"] in ("", instance)]
    for one in found:
        shown = subprocess.run(
            [*command, "show", one["id"]], check=False, capture_output=True, text=True
        )
        (KEPT / f"{one['id']}.txt").write_text(shown.stdout, encoding="utf-8")
    return found


def _figures(
    host: Host,
    made: list[Injected],
    heard: list[Told],
    incidents: list[dict[str, Any]],
    began: float,
) -> dict[str, Any]:
    """Return everything as JSON takes it, and keep every request."""
    asked_by = [[asdict(one) for one in load.asked] for load in host.loads]
    (KEPT / "requests.json").write_text(json.dumps(asked_by), encoding="utf-8")
    rows = []
    for fault in made:
        # Who sends what must be refused is let down by design; the others count.
        asked = [
            one
            for load in host.loads
            for one in load.asked
            if load.prompt[0] < MAX_LENGTH and load.key == KEY
        ]
        harmed = harm(asked, TARGETS, began=fault.began, until=fault.until)
        rows.append(
            figures(fault, heard=heard, verdicts=host.verdicts, harmed=harmed, incidents=incidents)
        )
    first = made[0].began
    early = [one for one in heard if one.fires and one.time < first]
    return {
        "faults": rows,
        "before": {
            "seconds": first - began,
            "within": within(
                [one for one in host.users.asked if one.ended and one.ended < first], TARGETS
            ),
            "alerts": sorted({one.alert for one in early}),
        },
        "raw": {
            "began": began,
            "faults": [{"name": one.name, "began": one.began, "over": one.over} for one in made],
            "told": [asdict(one) for one in heard],
            "verdicts": [asdict(one) for one in host.verdicts],
            "incidents": incidents,
        },
    }


def main() -> int:
    """Run it all and write both files."""
    every = [fault.name for fault in FAULTS]
    names = sys.argv[1:] or every
    if not set(names) <= set(every):
        print(f"the faults are: {', '.join(every)}", file=sys.stderr)
        return 1
    programs = vllm_folder()
    if programs is None or os.geteuid() != 0:
        print("needs root, and vLLM: see INFERWATCH_TEST_VLLM", file=sys.stderr)
        return 1
    whole = json.loads(FIGURES.read_text(encoding="utf-8")) if sys.argv[1:] else None
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        engine = Engine(Path(name), programs)
        try:
            engine.start()
            found = asyncio.run(_run(Path(name), engine, names))
        finally:
            engine.end()
    if whole is not None:
        found = again(whole, found)
    FIGURES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
