"""The subcommands, one file each: `add_arguments(parser)` and `run(arguments) -> exit status`."""

import argparse
from typing import Protocol, cast

from agent.commands import (
    alert_relabel,
    backtest,
    check_config,
    check_rules,
    demo,
    doctor,
    estimate,
    history,
    incidents,
    metrics,
    nagios,
    record,
    replay,
    report,
    run,
    scaler,
    test_alert,
)


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


COMMANDS: tuple[Command, ...] = cast(
    "tuple[Command, ...]",
    (
        run,
        check_config,
        check_rules,
        doctor,
        test_alert,
        alert_relabel,
        record,
        replay,
        backtest,
        estimate,
        history,
        incidents,
        report,
        scaler,
        nagios,
        demo,
        metrics,
    ),
)
