"""Watch this host until told to stop."""

import argparse
import asyncio

from agent.app import Agent
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.log import configure_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the agent; a configuration with problems ends it before it opens a socket."""
    path = config_path(arguments)
    settings = settings_from(path)
    configure_logging(settings.logging)
    asyncio.run(Agent(settings, read_settings=lambda: settings_from(path)).run())
    return 0
