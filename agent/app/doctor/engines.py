"""What the doctor says of the engines."""

from collections.abc import Iterator
from typing import Final

from agent.app.common import looked_for
from agent.app.doctor.finding import Finding, State, ok
from agent.app.doctor.look import Instance, Looked
from agent.catalog import process
from collectors.discovery import Discovery
from collectors.engine_ends import EngineEndsCollector

_UNSAID: Final = (
    "of its end, what it said itself; and callers that it refuses for a wrong key, where it does "
    "not count them"
)


def engines(looked: Looked) -> Iterator[Finding]:
    """Yield how the search went, and how each engine fares."""
    if Discovery.name in looked.looks:
        look = looked.looks[Discovery.name]
        if look is None or look.reading is None:
            yield Finding(
                topic="search for engines",
                state=State.BROKEN,
                found="it gave no answer in time" if look is None else look.error,
                costs="engines that the configuration does not name are not found",
                advice="name them: collectors.engines.instances",
            )
    if not looked.engines:
        search, *advice = looked_for()
        yield Finding(
            topic="engines",
            state=State.MISSING,
            found=f"none. {search}",
            costs="no verdicts, capacity, forecasts and signals; GPUs and host are watched",
            advice=advice[0].removeprefix("To do: "),
        )
    for instance in looked.engines:
        yield _engine(instance, looked)
        yield from _rights(instance, looked)
        yield from _log(instance, looked)


def _engine(instance: Instance, looked: Looked) -> Finding:
    """Return how an engine fares."""
    topic = f"engine {instance.name}"
    by = "" if instance.pid is None else f", process {instance.pid}"
    where = f"{instance.title} at {instance.url}{by}"
    look = looked.looks.get(f"engine/{instance.name}")
    if look is not None and look.reading is not None:
        return ok(topic, f"{where}: its page is understood, {len(look.reading.ids)} series")
    why = "it gave no answer in time" if look is None else look.error
    return Finding(
        topic=topic,
        state=State.BROKEN,
        found=f"{where}: {why}",
        costs="everything about this engine but its processes",
        advice=_advice(instance, looked, why),
    )


def _advice(instance: Instance, looked: Looked, why: str) -> str:
    """Return what to do about an engine that does not answer."""
    if instance.pid is not None or not why.startswith("cannot connect"):
        return "an engine that loads its model answers later; else what is said above"
    others = [f"{one.name} at {one.url}" for one in looked.engines if one.pid is not None]
    here = f"; what runs on this host: {', '.join(others)}" if others else ""
    return f"start it, or correct its address at collectors.engines.instances{here}"


def _rights(instance: Instance, looked: Looked) -> Iterator[Finding]:
    """Yield what may not be seen of the processes of an engine."""
    if instance.pid is None or "processes" not in looked.looks:
        return
    counted = looked.samples.get(process.OPEN_FDS, ())
    if not any(sample.labels["instance_name"] == instance.name for sample in counted):
        yield Finding(
            topic=f"processes of {instance.name}",
            state=State.MISSING,
            found="their open files may not be counted by this user",
            costs="inferwatch_engine_process_open_fds",
            advice="Linux 6.2 counts for everybody; before, CAP_SYS_PTRACE and "
            "CAP_DAC_READ_SEARCH: docs/install.md, What the service may do",
        )


def _log(instance: Instance, looked: Looked) -> Iterator[Finding]:
    """Yield whether the log of an engine is read, but of a unit, which the journal tells."""
    if EngineEndsCollector.name not in looked.looks:
        return
    topic = f"log of {instance.name}"
    if instance.log_file is not None:
        refused = [
            event.message
            for event in looked.events
            if event.kind == "engine_log_unreadable"
            and event.labels["instance_name"] == instance.name
        ]
        if not refused:
            yield ok(topic, f"{instance.log_file} is read")
            return
        yield Finding(
            topic=topic,
            state=State.BROKEN,
            found=refused[-1],
            costs=_UNSAID,
            advice="let the user of the agent read it, or correct log_file",
        )
    elif instance.pid is not None and not instance.unit:
        yield Finding(
            topic=topic,
            state=State.MISSING,
            found="it is not read: the process is in no unit of systemd, and no log_file is named",
            costs=_UNSAID,
            advice="run it as a unit, or name the file that it writes to: log_file, at "
            "collectors.engines.instances",
        )
