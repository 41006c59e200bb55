"""Which changes of the configuration wait for a restart of the agent."""

from dataclasses import fields
from typing import Final

from agent.app.history import target_of
from agent.config import Settings

# One history has one place, one size and one target; incidents are cut from it.
_FROM_THE_START: Final = ("labels", "history", "incidents")


def waits_for_restart(used: Settings, read: Settings) -> list[str]:
    """Return the keys whose values a reload does not use.

    Args:
        used: the settings that the agent began with.
        read: those of the reload.
    """
    keys = [
        f"{section}.{key.name}"
        for section in _FROM_THE_START
        for before, now in [(getattr(used, section), getattr(read, section))]
        for key in fields(before)
        if getattr(before, key.name) != getattr(now, key.name)
    ]
    if "labels.instance" not in keys and target_of(used).instance != target_of(read).instance:
        keys.insert(0, "labels.instance (it follows the port)")
    return keys
