"""What people are told: why there are no GPU values, and what to do about it."""

from agent.model import SourceError, UnavailableError
from collectors.nvml import codes

_REASONS: dict[int, str] = {
    codes.LIBRARY_NOT_FOUND: (
        "there is no libnvidia-ml.so.1: install the NVIDIA driver, or switch the source off with "
        "collectors.nvml.enabled: false on a host without NVIDIA GPUs"
    ),
    codes.DRIVER_NOT_LOADED: (
        "the NVIDIA driver is installed but not loaded: load it (modprobe nvidia) or reboot"
    ),
    codes.NO_PERMISSION: (
        "no permission to talk to the NVIDIA driver: let the agent's user open /dev/nvidia*"
    ),
    codes.OPERATING_SYSTEM: (
        "the operating system keeps the agent from the GPUs: allow /dev/nvidia* in its cgroup "
        "(systemd: DeviceAllow, PrivateDevices=no)"
    ),
    codes.LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver was upgraded and library and kernel module differ: reload the module "
        "or reboot; a fresh process is tried meanwhile"
    ),
}

# A host without driver is no failure; one where the driver is there but refuses is.
_UNAVAILABLE = frozenset({codes.LIBRARY_NOT_FOUND, codes.DRIVER_NOT_LOADED})

DOWN = {
    codes.GPU_IS_LOST: "fell off the bus (GPU is lost)",
    codes.RESET_REQUIRED: "waits for a reset",
}


class DriverMismatchError(SourceError):
    """Library and kernel module of the driver are of different versions."""


def failure(stage: str, code: int, message: str) -> SourceError:
    """Return the error for a FAILURE frame.

    Args:
        stage: `init` or `read`: a driver that goes away between two reads was on this host.
        code: the driver's return code.
        message: the driver's words.
    """
    reason = _REASONS.get(code, f"the NVIDIA driver answered {message!r} (code {code})")
    if stage == "init" and code in _UNAVAILABLE:
        return UnavailableError(reason)
    if code == codes.LIB_RM_VERSION_MISMATCH:
        return DriverMismatchError(reason)
    return SourceError(reason)


def down(code: int) -> str:
    """Return in words why a GPU does not answer; 0: it is no longer listed."""
    if code == 0:
        return "is no longer listed by the driver"
    return DOWN.get(code, f"does not answer (code {code})")
