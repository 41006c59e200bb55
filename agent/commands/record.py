"""Watch this host and write what the collectors see to a file, until told to stop."""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.app.live import Agent
from agent.commands.common import (
    add_config_argument,
    config_path,
    listen_address,
    seconds,
    settings_from,
)
from agent.config import Listen, Settings
from agent.config.settings import Exporters, Http
from agent.log import configure_logging
from agent.model import RecordingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="must not exist yet")
    add_config_argument(parser)
    parser.add_argument(
        "--duration", type=seconds, metavar="TIME", help="stop after this long, such as 90s or 5m"
    )
    parser.add_argument(
        "--scrub",
        action="store_true",
        help="replace names of engines, models and processes, commands and paths by numbered "
        "words, and leave out error messages and sentences of events",
    )
    parser.add_argument(
        "--listen",
        type=listen_address,
        metavar="ADDRESS",
        help="serve the pages meanwhile, such as at :9746; without it nothing is served",
    )
    parser.add_argument("--note", default="", help="a sentence for those who will read it")


def run(arguments: argparse.Namespace) -> int:
    """Run the agent with its recorder on and without what a service has, so beside one as well."""
    if arguments.file.exists():
        raise RecordingError(f"{arguments.file}: exists already; choose another name")
    path = config_path(arguments)
    listen = () if arguments.listen is None else (arguments.listen,)

    def read() -> Settings:
        return without_services(settings_from(path), listen=listen)

    settings = read()
    configure_logging(settings.logging)
    agent = Agent(settings, read_settings=read)
    agent.record_to(arguments.file, note=arguments.note, scrub=arguments.scrub)
    asyncio.run(agent.run(duration=arguments.duration))
    return 0


def without_services(settings: Settings, *, listen: Sequence[Listen]) -> Settings:
    """Return settings that collect the same and do little else.

    They keep neither history nor incidents, tell nobody of alerts, and listen on these addresses
    alone, to the same people.
    """
    web_config = settings.exporters.http_api.web_config if listen else None
    return replace(
        settings,
        history=replace(settings.history, enabled=False),
        incidents=replace(settings.incidents, enabled=False),
        alerts=replace(settings.alerts, enabled=False),
        exporters=Exporters(http_api=Http(listen=tuple(listen), web_config=web_config)),
    )
