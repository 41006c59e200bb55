"""Check rule files without evaluating anything."""

import argparse
from pathlib import Path

from agent.alerts.rule import AlertRule
from agent.app.rules import load_rules, shipped_rule_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "files", type=Path, nargs="*", metavar="FILE", help="without one, the rules of the agent"
    )


def run(arguments: argparse.Namespace) -> int:
    """Say what is wrong, all at once, or what there is."""
    files = arguments.files or shipped_rule_files()
    groups = load_rules(files)
    for group in groups:
        every = f"{group.interval:g}s" if group.interval else "tick"
        alerts = sum(isinstance(rule, AlertRule) for rule in group.rules)
        print(
            f"{group.file}: {group.name}: {alerts} alerts, "
            f"{len(group.rules) - alerts} recordings, every {every}"
        )
    for file in files:
        if not any(group.file == str(file) for group in groups):
            print(f"{file}: no groups")
    return 0
