"""Check a configuration file without starting anything."""

import argparse
from pathlib import Path

from agent.app import rules_of
from agent.commands.common import settings_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """Say what is wrong, all at once, or that nothing is; the rule files are read as well."""
    rules_of(settings_from(arguments.file))
    print(f"{arguments.file}: good")
    return 0
