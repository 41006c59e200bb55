"""What the doctor says of GPUs, their driver and DCGM."""

from collections.abc import Iterator
from typing import Final

from agent.app.doctor.finding import Finding, State, ok
from agent.app.doctor.look import Looked
from agent.catalog import gpu

_NO_GPU_METRICS: Final = (
    "no metrics of GPUs, no verdicts on power, heat and neighbours, no forecast of device memory; "
    "engines and host are watched all the same"
)
_REST: Final = "nothing but what DCGM alone knows; everything else comes from the driver itself"


def hardware(looked: Looked) -> Iterator[Finding]:
    """Yield what there is to say of them."""
    yield from _driver(looked)
    yield from _refused(looked)
    yield from _dcgm(looked)


def _driver(looked: Looked) -> Iterator[Finding]:
    """Yield how the driver and each GPU fare."""
    topic = "NVIDIA driver and GPUs"
    if "nvml" not in looked.looks:
        yield ok(topic, "not looked for: collectors.nvml is turned off in the configuration")
        return
    look = looked.looks["nvml"]
    if look is None or look.reading is None:
        absent = look is not None and look.unavailable
        yield Finding(
            topic=topic,
            state=State.MISSING if absent else State.BROKEN,
            found="it gave no answer in time" if look is None else look.error,
            costs=_NO_GPU_METRICS,
            advice="nothing, on a host without NVIDIA GPUs; else install or load the driver: it "
            "is found within 15 s, without a restart"
            if absent
            else "what is said above; nvidia-smi should list the GPUs for the agent's user too",
        )
        return
    infos = [
        sample.labels for sample in looked.samples.get(gpu.INFO, ()) if not sample.labels["mig"]
    ]
    if not infos:
        yield Finding(
            topic=topic,
            state=State.MISSING,
            found="the driver answers and lists no GPU",
            costs=_NO_GPU_METRICS,
            advice="look at nvidia-smi and at the kernel log",
        )
        return
    names = "; ".join(f"GPU {one['gpu']}: {one['name']}" for one in infos)
    yield ok(topic, f"driver {infos[0]['driver_version']}, {names}")
    for sample in looked.samples.get(gpu.UP, ()):
        if not sample.value:
            yield Finding(
                topic=f"GPU {sample.labels['gpu']}",
                state=State.BROKEN,
                found="it does not answer: lost, or waiting for a reset",
                costs="whatever runs on it",
                advice="the kernel log names the XID; then reset it or reboot",
            )


def _refused(looked: Looked) -> Iterator[Finding]:
    """Yield what the driver shows to administrators only."""
    refused = [event.message for event in looked.events if event.kind == "gpu_read_refused"]
    if refused:
        yield Finding(
            topic="rights on GPUs",
            state=State.MISSING,
            found="; ".join(refused),
            costs="these values",
            advice="docs/install.md, What the service may do",
        )


def _dcgm(looked: Looked) -> Iterator[Finding]:
    """Yield how a dcgm-exporter fares."""
    if "dcgm" not in looked.looks:
        return
    look = looked.looks["dcgm"]
    if look is not None and look.reading is not None:
        yield ok("DCGM exporter", f"its page is read: {len(look.reading.ids)} series")
        return
    absent = look is not None and look.unavailable
    yield Finding(
        topic="DCGM exporter",
        state=State.MISSING if absent else State.BROKEN,
        found="it gave no answer in time" if look is None else look.error,
        costs=_REST,
        advice="nothing, unless one runs here at another address: collectors.dcgm.url"
        if absent
        else "see whether it runs, and whether collectors.dcgm.url is its address",
    )
