"""What the page says of the GPUs and of the host."""

from collections.abc import Iterator, Mapping
from typing import Final

from agent.catalog import gpu, host
from exporters.web.engines import mood_of
from exporters.web.markup import (
    Tile,
    element,
    escaped,
    heading,
    items,
    paragraph,
    term,
    tiles,
)
from exporters.web.numbers import between, count, lasted, size, whole
from exporters.web.seen import Seen
from exporters.web.verdicts import Mood

# The others are chosen by whoever runs the GPU, or mean that it has nothing to do.
_SLOWED: Final = {
    "software_power_cap": "its power limit",
    "hardware_slowdown": "a slowdown of the hardware",
    "software_thermal_slowdown": "heat",
    "hardware_thermal_slowdown": "heat (hardware)",
    "hardware_power_brake": "a power brake from outside",
}
_BUSY: Final = 0.005
_FOLDERS: Final = 8

METRICS: Final = (
    gpu.INFO,
    gpu.UP,
    gpu.CLOCKS_EVENT_REASON,
    gpu.MEMORY_USED,
    gpu.MEMORY_TOTAL,
    gpu.UTILIZATION,
    gpu.SM_ACTIVITY,
    gpu.POWER,
    gpu.POWER_LIMIT,
    gpu.TEMPERATURE,
    host.MEMORY_AVAILABLE,
    host.MEMORY_TOTAL,
    host.LOAD1,
    host.CPUS,
    host.FILESYSTEM_AVAILABLE,
    host.FILESYSTEM_SIZE,
    host.FILESYSTEM_HUNG,
    host.BOOT_TIME,
    host.CLOCK_SYNCHRONISED,
    host.OOM_KILLS,
)
"""What is shown of the frame."""


def gpus(seen: Seen) -> str:
    """Return the section about GPUs."""
    found = [dict(sample.labels) for sample in seen.samples.get(gpu.INFO, ())]
    known = {labels["uuid"] for labels in found}
    # One that is lost has no facts any more.
    found += [
        dict(sample.labels)
        for sample in seen.samples.get(gpu.UP, ())
        if sample.labels["uuid"] not in known
    ]
    found.sort(key=lambda one: (len(one["gpu"]), one["gpu"], one["mig"]))
    return element(
        "section",
        {},
        heading(2, "GPUs", anchor="gpus"),
        *([_gpu(seen, labels) for labels in found] or [_none(seen)]),
    )


def _none(seen: Seen) -> str:
    """Return what to do where there is no GPU."""
    if seen.time is None:
        return paragraph("Not looked yet.", "soft")
    nvml = seen.source("nvml")
    why = "The source nvml is turned off." if nvml is None else f"{nvml.state}: {nvml.detail}"
    return paragraph("No GPU is known on this host.") + items(
        [
            escaped("Looked for: NVIDIA's driver library (libnvidia-ml.so.1) and what it lists."),
            escaped(f"Found: {why}"),
            escaped(
                "On a host without NVIDIA GPUs that is as it should be. With one, install or load "
                "its driver; it is looked for again every 15 s, without a restart."
            ),
        ]
    )


def gpu_mood(seen: Seen, labels: Mapping[str, str]) -> tuple[str, Mood]:
    """Return how a GPU fares in words, and how bad that is."""
    key = {name: labels[name] for name in gpu.LABELS}
    if seen.value(gpu.UP, **key) == 0:
        return "does not answer", Mood.BAD
    slowed = [
        _SLOWED[sample.labels["reason"]]
        for sample in seen.samples.get(gpu.CLOCKS_EVENT_REASON, ())
        if sample.value
        and sample.labels["reason"] in _SLOWED
        and all(sample.labels[name] == value for name, value in key.items())
    ]
    if slowed:
        return f"clocks held down by {' and '.join(dict.fromkeys(slowed))}", Mood.WARN
    busy = seen.value(gpu.UTILIZATION, **key)
    if busy is None:
        return "answers", Mood.WELL
    return ("working" if busy > _BUSY else "idle"), Mood.WELL


def _gpu(seen: Seen, labels: Mapping[str, str]) -> str:
    """Return what is known of a GPU or a MIG instance."""
    words, mood = gpu_mood(seen, labels)
    name = f"GPU {labels['gpu']}" + (f", MIG {labels['mig']}" if labels["mig"] else "")
    kind = " · ".join(filter(None, (labels.get("name", ""), labels["uuid"])))
    return element(
        "article",
        {},
        heading(3, name),
        element("span", {"class": "kind"}, escaped(kind)),
        element(
            "p",
            {"class": f"verdict {mood}"},
            element("b", {}, term("clocks", words) if mood is Mood.WARN else escaped(words)),
        ),
        tiles(_gpu_tiles(seen, {key: labels[key] for key in gpu.LABELS})),
        items(map(escaped, _about(seen, labels)), "foreseen"),
    )


def _gpu_tiles(seen: Seen, key: Mapping[str, str]) -> Iterator[Tile]:
    """Yield the numbers of a GPU."""
    used, total = seen.value(gpu.MEMORY_USED, **key), seen.value(gpu.MEMORY_TOTAL, **key)
    yield Tile(
        name="memory used",
        value="" if used is None else size(used),
        more="" if used is None or not total else f"{whole(used / total)} of {size(total)}",
    )
    busy, units = seen.value(gpu.UTILIZATION, **key), seen.value(gpu.SM_ACTIVITY, **key)
    yield Tile(
        name="busy",
        value="" if busy is None else whole(busy),
        more="" if units is None else f"{whole(units)} of its units",
        term="gpu-activity",
    )
    power, limit = seen.value(gpu.POWER, **key), seen.value(gpu.POWER_LIMIT, **key)
    heat = seen.value(gpu.TEMPERATURE, **key)
    if power is not None or not key["mig"]:
        yield Tile(
            name="power",
            value="" if power is None else f"{power:.0f} W",
            more="" if limit is None else f"{limit:.0f} W at most",
        )
        yield Tile(name="temperature", value="" if heat is None else f"{heat:.0f} °C")


def _about(seen: Seen, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield which engines are on a GPU, what is left of it and what is foreseen."""
    here = [
        one
        for one in seen.engines.get("placement", ())
        if (one["uuid"], one["mig"]) == (labels["uuid"], labels["mig"])
    ]
    for engine, name in dict.fromkeys((one["engine"], one["instance_name"]) for one in here):
        yield f"Engine {name} runs on it: {mood_of(seen, engine, name)[0]}."
    if not here:
        yield "No engine is known to run on it."
    for one in seen.capacity.get("gpus", ()):
        if (one["uuid"], one["mig"]) == (labels["uuid"], labels["mig"]):
            ratio, left = one["headroom_ratio"], one["headroom_tokens_per_minute"]
            if left is not None:
                part = "" if ratio is None else f"{whole(ratio)}, "
                yield f"Headroom of its engines: {part}{count(left)} tokens a minute."
    yield _memory(seen, gpu_uuid=labels["uuid"], mig=labels["mig"])


def _memory(seen: Seen, *, gpu_uuid: str = "", mig: str = "") -> str:
    """Return what is foreseen of the memory of a GPU, or else of the host."""
    prefix = "inferwatch_gpu_memory" if gpu_uuid else "inferwatch_host_memory"
    what = "Its memory" if gpu_uuid else "Main memory"
    for one in seen.engines.get("memory_forecasts", ()):
        same = (one.get("uuid", ""), one.get("mig", "")) == (gpu_uuid, mig)
        if one["metric"].startswith(prefix) and same:
            return f"{what} is used up {between(one)}, by growth that goes on."
    return f"{what}: no growth foreseen that uses it up within 24 h."


def host_facts(seen: Seen) -> str:
    """Return the section about the host."""
    body = [heading(2, "Host", anchor="host")]
    if seen.time is None:
        body.append(paragraph("Not looked yet.", "soft"))
    else:
        body.append(tiles(_host_tiles(seen)))
        body.append(items(map(escaped, _host_about(seen)), "foreseen"))
    return element("section", {}, *body)


def _host_tiles(seen: Seen) -> Iterator[Tile]:
    """Yield the numbers of the host."""
    free, total = seen.value(host.MEMORY_AVAILABLE), seen.value(host.MEMORY_TOTAL)
    yield Tile(
        name="memory available",
        value="" if free is None else size(free),
        more="" if free is None or not total else f"{whole(free / total)} of {size(total)}",
    )
    load, cpus = seen.value(host.LOAD1), seen.value(host.CPUS)
    yield Tile(
        name="load of the last minute",
        value="" if load is None else f"{load:.2f}",
        more="" if cpus is None else f"tasks that want one of {cpus:.0f} CPUs",
    )
    folders = seen.samples.get(host.FILESYSTEM_AVAILABLE, ())
    for sample in folders[:_FOLDERS]:
        whole_size = seen.value(host.FILESYSTEM_SIZE, path=sample.labels["path"])
        yield Tile(
            name=f"disk free, {sample.labels['path']}",
            value=size(sample.value),
            more=""
            if not whole_size
            else f"{whole(sample.value / whole_size)} of {size(whole_size)}",
        )


def _host_about(seen: Seen) -> Iterator[str]:
    """Yield what else is known of the host."""
    if host.MEMORY_AVAILABLE in seen.samples:
        yield _memory(seen)
    boot = seen.value(host.BOOT_TIME)
    if boot is not None and seen.time is not None:
        yield f"Running for {lasted(seen.time - boot)}."
    kept = seen.value(host.CLOCK_SYNCHRONISED)
    if kept is not None:
        yield "Its clock is kept by a time daemon." if kept else "No time daemon keeps its clock."
    kills = seen.value(host.OOM_KILLS)
    if kills:
        yield f"The kernel killed {count(kills)} processes for lack of memory since it started."
    for sample in seen.samples.get(host.FILESYSTEM_HUNG, ()):
        if sample.value:
            yield f"The filesystem at {sample.labels['path']} does not answer."
