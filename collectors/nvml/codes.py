"""What each return code of the driver means to the agent. Numbers are those of `nvml.h`."""

from enum import Enum

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
OPERATING_SYSTEM = 17
LIB_RM_VERSION_MISMATCH = 18
VGPU_ECC_NOT_SUPPORTED = 22
ARGUMENT_VERSION_MISMATCH = 25
DEPRECATED = 26
GPU_NOT_FOUND = 28
UNKNOWN = 999


class Outcome(Enum):
    """What follows from a return code."""

    ABSENT_NOW = "no value this time; asked again next time"
    ABSENT = "no such value on this device; not asked again until devices are listed anew"
    REFUSED = "as absent, and said once in an event: rights are missing"
    DEVICE_DOWN = "the device answers nothing until it is reset or returns; the others go on"
    DRIVER_GONE = "only a fresh process can go on"


_OUTCOMES = {
    UNINITIALIZED: Outcome.DRIVER_GONE,
    DRIVER_NOT_LOADED: Outcome.DRIVER_GONE,
    LIB_RM_VERSION_MISMATCH: Outcome.DRIVER_GONE,
    UNKNOWN: Outcome.DRIVER_GONE,
    INVALID_ARGUMENT: Outcome.ABSENT,
    NOT_SUPPORTED: Outcome.ABSENT,
    FUNCTION_NOT_FOUND: Outcome.ABSENT,
    VGPU_ECC_NOT_SUPPORTED: Outcome.ABSENT,
    ARGUMENT_VERSION_MISMATCH: Outcome.ABSENT,
    DEPRECATED: Outcome.ABSENT,
    NO_PERMISSION: Outcome.REFUSED,
    OPERATING_SYSTEM: Outcome.REFUSED,
    GPU_IS_LOST: Outcome.DEVICE_DOWN,
    RESET_REQUIRED: Outcome.DEVICE_DOWN,
    GPU_NOT_FOUND: Outcome.DEVICE_DOWN,
}


def outcome(code: int) -> Outcome:
    """Return what follows from a return code; a code that is not listed may pass by itself."""
    return _OUTCOMES.get(code, Outcome.ABSENT_NOW)
