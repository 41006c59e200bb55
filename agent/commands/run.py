"""Watch this host until told to stop."""

import argparse
import asyncio
import gc
from dataclasses import replace

from agent.allocator import keep_freed_memory
from agent.app.live import Agent
from agent.commands.common import (
    add_config_argument,
    add_web_config_argument,
    config_path,
    listen_address,
    settings_from,
)
from agent.config import Settings
from agent.log import configure_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--listen",
        type=listen_address,
        metavar="ADDRESS",
        help="where to serve /metrics, in the place of what the configuration says",
    )
    add_web_config_argument(
        parser, about="certificates, users and headers, as exporters have them; likewise"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the agent; a configuration with problems ends it before it opens a socket."""
    path = config_path(arguments)

    def read() -> Settings:
        settings = settings_from(path)
        http_api = settings.exporters.http_api
        if arguments.listen is not None:
            http_api = replace(http_api, listen=(arguments.listen,))
        if arguments.web_config is not None:
            http_api = replace(http_api, web_config=arguments.web_config.absolute())
        return replace(settings, exporters=replace(settings.exporters, http_api=http_api))

    settings = read()
    configure_logging(settings.logging)
    keep_freed_memory()
    agent = Agent(settings, read_settings=read, config=path)
    # Modules and rules stay to the end: no collection that holds up a scrape need look at them.
    gc.collect()
    gc.freeze()
    asyncio.run(agent.run())
    return 0
