"""Run the whole agent on a recording, with the recorded clock."""

import argparse
import asyncio
from pathlib import Path

from agent.app.incidents import folder_of
from agent.app.replayed import ReplayAgent
from agent.commands.common import (
    add_config_argument,
    add_listen_argument,
    add_web_config_argument,
    config_path,
    seconds,
    settings_from,
)
from agent.config.settings import Logging
from agent.log import configure_logging


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a recording, or the ID of a recorded incident"
    )
    add_config_argument(parser, use="; where incidents are is all that is taken from it")
    add_listen_argument(parser)
    add_web_config_argument(parser, about="certificates, users and headers, as exporters have them")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="N",
        help="seconds of the recording for each second now; 'max' for as fast as possible",
    )
    parser.add_argument(
        "--ahead",
        type=seconds,
        default=0.0,
        metavar="TIME",
        help="play this much of its beginning at once, such as 90s, so that something is known",
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until stopped")
    parser.add_argument(
        "--print",
        action="store_true",
        dest="print_page",
        help="serve nothing; print the last page and end",
    )


def _speed(text: str) -> float:
    """Return a speed, 0 for as fast as possible."""
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError("expected a number over 0, or 'max'")
    return speed


def run(arguments: argparse.Namespace) -> int:
    """Play it."""
    configure_logging(Logging())
    agent = ReplayAgent(
        _recording(arguments),
        speed=0.0 if arguments.print_page else arguments.speed,
        ahead=arguments.ahead,
    )
    if arguments.print_page:
        print(asyncio.run(agent.last_page()), end="")
        return 0
    asyncio.run(
        agent.run(listen=arguments.listen, loop=arguments.loop, web_config=arguments.web_config)
    )
    return 0


def _recording(arguments: argparse.Namespace) -> Path:
    """Return the file to play: that of an incident where there is none of this name."""
    file: Path = arguments.file
    if file.exists() or file.name != str(file) or "." in file.name:
        return file
    return folder_of(settings_from(config_path(arguments))).find(file.name)
