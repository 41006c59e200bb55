"""Say how many replicas each model needs, from all hosts that a Prometheus scrapes."""

import argparse
import asyncio

from agent.app.scaler import Scaler
from agent.commands.common import (
    add_config_argument,
    config_path,
    listen_address,
    prometheus_url,
    settings_from,
)
from agent.config import Listen
from agent.log import configure_logging
from agent.service import SystemClock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--prometheus",
        type=prometheus_url,
        required=True,
        metavar="URL",
        help="of the Prometheus that scrapes the agents, such as http://prometheus:9090",
    )
    parser.add_argument(
        "--listen",
        type=listen_address,
        default=Listen("", 9746),
        metavar="ADDRESS",
        help="where to serve JSON; :9746 by default",
    )
    parser.add_argument(
        "--grpc",
        type=listen_address,
        metavar="ADDRESS",
        help="where to serve KEDA's external scaler, such as :9747; needs inferwatch[scaler]",
    )
    add_config_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    settings = settings_from(config_path(arguments))
    configure_logging(settings.logging)
    grpc: Listen | None = arguments.grpc
    scaler = Scaler(arguments.prometheus, settings, clock=SystemClock())
    at = None if grpc is None else f"{grpc.host or '[::]'}:{grpc.port}"
    asyncio.run(scaler.run(listen=arguments.listen, grpc=at))
    return 0
