"""What the tests of several GPUs read of a look."""

from tests.fakes.nvml.watched import Watched

POWER = "nvmlDeviceGetPowerUsage"

WATTS = ("gpu_power_watts", "0")


def up_of(watching: Watched) -> dict[str, float]:
    """Return `gpu_up` by uuid."""
    return {
        dict(series.label_pairs())["uuid"]: value
        for series, value in watching.named("inferwatch_gpu_up")
    }
