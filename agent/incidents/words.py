"""Incidents as text for a terminal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from agent.analysis.deaths import duration
from agent.incidents.summary import Summary

_STEP: Final = 1024.0
_MOST_LINES: Final = 60


def table(summaries: Sequence[Summary]) -> Iterator[str]:
    """Yield the list of incidents, the newest first."""
    yield f"{'ID':<20} {'TRIGGER':<12} {'ENGINE':<20} {'LENGTH':>11} {'SIZE':>8}  WHAT"
    for one in reversed(summaries):
        length = "" if one.start is None or one.end is None else duration(one.end - one.start)
        # The evidence that decided; `show` has the rest.
        what = one.text.partition("; ")[0]
        if one.problem:
            what = f"{what} [{one.state}: {one.problem}]".lstrip()
        yield (
            f"{one.id:<20} {one.trigger or '?':<12} {one.engine or '-':<20} {length:>11} "
            f"{size(one.size):>8}  {what}"
        )


def report(found: dict[str, Any]) -> Iterator[str]:
    """Yield a post mortem."""
    began, detected = found["began_timestamp_seconds"], found["detected_timestamp_seconds"]
    ended = found["ended_timestamp_seconds"]
    yield f"Incident {found['id']}: {found['text']}"
    yield ""
    yield f"  trigger    {found['trigger']}" + (f", {found['engine']}" if found["engine"] else "")
    yield f"  began      {clock(began)}"
    yield f"  detected   {clock(detected)}, {duration(max(0.0, detected - began))} later"
    if ended is None:
        yield "  ended      not within the recording"
    else:
        yield f"  ended      {clock(ended)}, after {duration(max(0.0, ended - began))}"
    recorded = found["recorded"]
    start, end = recorded["start_timestamp_seconds"], recorded["end_timestamp_seconds"]
    yield f"  recorded   {clock(start)} to {clock(end)}, {recorded['ticks']} ticks"
    if recorded["problem"]:
        yield f"             {recorded['problem']}"
    yield from _timeline(found["timeline"], began)
    yield ""
    yield f"As it was at {clock(found['moment_timestamp_seconds'])}"
    for section in (_engines, _split, _gpus, _gpu_processes, _host, _forecasts):
        yield from section(found)


def _timeline(entries: Sequence[dict[str, Any]], began: float) -> Iterator[str]:
    """Yield what happened, by its time from the beginning of the trouble."""
    yield ""
    yield "Timeline"
    shown = entries
    if len(entries) > _MOST_LINES:
        near = sorted(entries, key=lambda one: abs(one["timestamp_seconds"] - began))[:_MOST_LINES]
        shown = [one for one in entries if one in near]
    for one in shown:
        offset = one["timestamp_seconds"] - began
        yield f"  {offset:>+8.1f} s  {one['kind']:<22} {one['text']}"
    if len(shown) < len(entries):
        yield f"  ({len(entries) - len(shown)} more; --json has them all)"


def _engines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what the engines were at."""
    for one in found["engines"]:
        parts = [f"verdict {one['verdict'] or 'unknown'}"]
        if one["requests_running"] is not None:
            parts.append(f"{one['requests_running']:.0f} running")
        if one["requests_waiting"] is not None:
            parts.append(f"{one['requests_waiting']:.0f} waiting")
        if one["kv_cache_usage_ratio"] is not None:
            parts.append(f"KV cache {one['kv_cache_usage_ratio']:.0%} full")
        names = (one["engine"], one["instance_name"], one["model_name"], one["rank"])
        yield f"  engine     {' '.join(filter(None, names))}: {', '.join(parts)}"


def _split(found: dict[str, Any]) -> Iterator[str]:
    """Yield who held which part of the GPUs' memory."""
    for one in found["memory_split"]:
        where = f"{one['instance_name']} on GPU {one['gpu']}" + (one["mig"] and f" {one['mig']}")
        yield f"  memory     {where}: {one['part']} {size(one['size_bytes'])}, {one['evidence']}"


def _gpus(found: dict[str, Any]) -> Iterator[str]:
    """Yield the memory of the GPUs."""
    for one in found["gpus"]:
        total = "" if one["total_bytes"] is None else f" of {size(one['total_bytes'])}"
        yield f"  GPU {one['gpu'] or one['uuid']:<6} {size(one['used_bytes'])}{total} used"


def _gpu_processes(found: dict[str, Any]) -> Iterator[str]:
    """Yield the largest processes, on the GPUs and in main memory."""
    for one in found["processes_by_gpu_memory"]:
        held = size(one["size_bytes"])
        yield f"  on GPU {one['gpu']:<3} {held:>9}  {one['process']} (process {one['pid']})"
    for one in found["processes_by_host_memory"]:
        held = size(one["size_bytes"])
        yield f"  in memory  {held:>9}  {one['instance_name']} {one['process']}"


def _host(found: dict[str, Any]) -> Iterator[str]:
    """Yield the memory of the host."""
    memory = found["host_memory"]
    if memory["available_bytes"] is not None:
        total = "" if memory["total_bytes"] is None else f" of {size(memory['total_bytes'])}"
        yield f"  host       {size(memory['available_bytes'])}{total} available"


def _forecasts(found: dict[str, Any]) -> Iterator[str]:
    """Yield what was foreseen."""
    for one in found["forecasts"]:
        if one["estimate_seconds"] is None:
            continue
        name = one["metric"].removeprefix("inferwatch_").removesuffix("_seconds")
        about = " ".join(one["labels"].values())
        low, high = one["low_seconds"], one["high_seconds"]
        between = "" if low is None or high is None else f" ({duration(low)} to {duration(high)})"
        yield f"  forecast   {name} {about}: {duration(one['estimate_seconds'])}{between}"


def clock(time: float) -> str:
    """Return a time for people, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}Z"


def size(count: float) -> str:
    """Return bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < _STEP:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} TiB"
