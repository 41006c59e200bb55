"""Watch this host and write what the collectors see to a file, until told to stop."""

import argparse
import asyncio
from pathlib import Path

from agent.app import Agent
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.config.values import Duration
from agent.log import configure_logging
from agent.model import RecordingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="must not exist yet")
    add_config_argument(parser)
    parser.add_argument(
        "--duration", type=_seconds, metavar="TIME", help="stop after this long, such as 90s or 5m"
    )
    parser.add_argument(
        "--scrub",
        action="store_true",
        help="replace process names and paths by numbered words",
    )
    parser.add_argument("--note", default="", help="a sentence for those who will read it")


def _seconds(text: str) -> float:
    """Return seconds, or have argparse say what was expected."""
    try:
        return Duration(0.1).convert(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None


def run(arguments: argparse.Namespace) -> int:
    """Run the agent with its recorder on; it serves its pages meanwhile."""
    if arguments.file.exists():
        raise RecordingError(f"{arguments.file}: exists already; choose another name")
    path = config_path(arguments)
    settings = settings_from(path)
    configure_logging(settings.logging)
    agent = Agent(settings, read_settings=lambda: settings_from(path))
    agent.record_to(arguments.file, note=arguments.note, scrub=arguments.scrub)
    asyncio.run(agent.run(duration=arguments.duration))
    return 0
