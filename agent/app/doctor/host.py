"""What the doctor says of the host: kernel log, journal, control groups, clock."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.app.doctor.finding import Finding, State, ok
from agent.app.doctor.look import Looked
from agent.catalog import host as catalog
from agent.model import UnavailableError
from collectors.cgroup import cgroup_of
from collectors.kernel_log.journal import JOURNAL_FOLDERS, check_access

_RIGHTS: Final = "docs/install.md, What the service may do"
_GIB: Final = float(1 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the host's own files are, for tests."""

    proc: Path = Path("/proc")
    journal: Sequence[Path] = JOURNAL_FOLDERS


def host(looked: Looked, places: Places) -> Iterator[Finding]:
    """Yield what there is to say of it."""
    yield _host(looked)
    yield from _kernel_log(looked)
    yield _journal(places)
    yield _cgroups(places)
    yield _clock(looked)
    for event in looked.events:
        if event.kind == "folder_missing":
            yield Finding(
                topic="watched folders",
                state=State.MISSING,
                found=event.message,
                costs="free space of that folder",
                advice="make the folder, or name others: collectors.host.folders",
            )


def _host(looked: Looked) -> Finding:
    """Return whether the host can be read."""
    topic = "host"
    look = looked.looks.get("host")
    if "host" not in looked.looks:
        return ok(topic, "not looked at: collectors.host is turned off in the configuration")
    if look is None or look.reading is None:
        return Finding(
            topic=topic,
            state=State.BROKEN,
            found="it gave no answer in time" if look is None else look.error,
            costs="CPU, memory, disks, network and pressure of the host",
        )
    memory = looked.samples.get(catalog.MEMORY_TOTAL, ())
    cpus = looked.samples.get(catalog.CPUS, ())
    facts = [f"{cpus[0].value:.0f} CPUs"] if cpus else []
    facts += [f"{memory[0].value / _GIB:.1f} GiB of memory"] if memory else []
    return ok(topic, ", ".join(facts) or f"{len(look.reading.ids)} series")


def _kernel_log(looked: Looked) -> Iterator[Finding]:
    """Yield whether the kernel log can be read."""
    if "kernel_log" not in looked.looks:
        return
    look = looked.looks["kernel_log"]
    if look is not None and look.reading is not None:
        yield ok("kernel log", "it can be read")
        return
    yield Finding(
        topic="kernel log",
        state=State.MISSING if look is not None and look.unavailable else State.BROKEN,
        found="it gave no answer in time" if look is None else look.error,
        costs="XIDs of GPUs and kills for lack of memory are not seen; of an engine that dies, "
        "one cause less can be told",
        advice=f"one of the rights named above; {_RIGHTS}",
    )


def _journal(places: Places) -> Finding:
    """Return whether the journal can be read."""
    topic = "systemd journal"
    try:
        check_access(places.journal)
    except UnavailableError as error:
        return Finding(
            topic=topic,
            state=State.MISSING,
            found=str(error),
            costs="of an engine that ends, neither its log nor how its unit ended, and no callers "
            "with a wrong key; where log_file of the engine is configured, that is read all the "
            "same",
            advice=f"{_RIGHTS}; without systemd: log_file, at collectors.engines.instances",
        )
    return ok(topic, "it can be read")


def _cgroups(places: Places) -> Finding:
    """Return whether control groups are shown."""
    topic = "control groups"
    found = cgroup_of(str(places.proc), os.getpid())
    if found is not None and not found.folder:
        return ok(topic, "version 2")
    return Finding(
        topic=topic,
        state=State.MISSING,
        found="this process is in none that is shown"
        if found is None
        else f"version 1 ({found.folder})",
        costs="where an engine has a memory limit of its own, its forecast and its kills; the "
        "processes of containers may be incomplete",
        advice="nothing, where engines have no limits of their own",
    )


def _clock(looked: Looked) -> Finding:
    """Return whether the clock is kept."""
    topic = "clock"
    kept = looked.samples.get(catalog.CLOCK_SYNCHRONISED, ())
    if kept and kept[0].value:
        return ok(topic, "a time daemon keeps it")
    return Finding(
        topic=topic,
        state=State.MISSING,
        found="no time daemon keeps it" if kept else "the kernel may not be asked who keeps it",
        costs="times of different hosts may differ by seconds"
        if kept
        else "inferwatch_host_clock_*, and the alerts about the clock",
        advice="start chrony or systemd-timesyncd; in a virtual machine its host may keep it"
        if kept
        else _RIGHTS,
    )
