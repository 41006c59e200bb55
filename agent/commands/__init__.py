"""The subcommands, one file each: `add_arguments(parser)` and `run(arguments) -> exit status`."""

import argparse
from importlib import import_module
from typing import Final, Protocol, cast


class Command(Protocol):
    """What a file in this folder holds; its docstring is the help text."""

    __name__: str
    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; raises InferwatchError for wrong input."""
        ...


NAMES: Final = (
    "run",
    "check_config",
    "check_rules",
    "doctor",
    "test_alert",
    "alert_relabel",
    "record",
    "replay",
    "backtest",
    "estimate",
    "history",
    "incidents",
    "report",
    "scaler",
    "nagios",
    "demo",
    "metrics",
)
"""The files in this folder that are subcommands, in the order of the help."""


RELOADING: Final = frozenset({"run", "record", "scaler"})
"""Those that are services: to them SIGHUP is no end, from the first moment on."""


def load(name: str) -> Command:
    """Return a subcommand; what it needs is imported with it, which of some is half a second."""
    return cast("Command", import_module(f"{__name__}.{name}"))
