"""Play the recording of a serving host that comes with the agent, again and again."""

import argparse
import asyncio
from importlib import resources
from pathlib import Path
from typing import Final

from agent.app.replayed import ReplayAgent
from agent.commands.common import add_listen_argument, add_web_config_argument
from agent.config.settings import Logging
from agent.log import configure_logging

AHEAD: Final = 122.0
"""Seconds of the recording after which its engine is at its limit, and its capacity known."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_listen_argument(parser)
    add_web_config_argument(parser, about="certificates, users and headers, as exporters have them")


def run(arguments: argparse.Namespace) -> int:
    """Serve the demo until stopped."""
    configure_logging(Logging())
    with resources.as_file(resources.files("agent") / "demo.rec.gz") as path:
        agent = ReplayAgent(Path(path), speed=1.0, ahead=AHEAD)
        asyncio.run(agent.run(listen=arguments.listen, loop=True, web_config=arguments.web_config))
    return 0
