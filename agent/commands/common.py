"""Arguments and settings that several commands share."""

import argparse
from pathlib import Path

from agent.config import Listen, Settings, load_settings
from agent.config.values import Duration, ListenAddress, Url
from collectors.engines import ENGINES

DEFAULT_CONFIG = Path("/etc/inferwatch/config.yaml")


def add_config_argument(parser: argparse.ArgumentParser, *, use: str = "") -> None:
    """Declare `--config`; `use` says what of it counts, where that is not all."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"the configuration; {DEFAULT_CONFIG} if it exists, else the defaults{use}",
    )


def config_path(arguments: argparse.Namespace) -> Path | None:
    """Return the file to read, None where the defaults are all there is."""
    chosen: Path | None = arguments.config
    if chosen is None and DEFAULT_CONFIG.exists():
        return DEFAULT_CONFIG
    return chosen


def settings_from(path: Path | None) -> Settings:
    """Return the settings in a file, or the defaults.

    Raises:
        ConfigError: the file has problems; the message lists them all.
    """
    return Settings() if path is None else load_settings(path, engines=ENGINES)


def add_listen_argument(parser: argparse.ArgumentParser) -> None:
    """Declare `--listen`."""
    parser.add_argument(
        "--listen",
        type=listen_address,
        default=Listen("", 9745),
        metavar="ADDRESS",
        help="where to serve /metrics; :9745 by default",
    )


def add_web_config_argument(parser: argparse.ArgumentParser, *, about: str) -> None:
    """Declare `--web-config`, which Prometheus's exporters call `--web.config.file`."""
    parser.add_argument("--web-config", "--web.config.file", type=Path, metavar="FILE", help=about)


def listen_address(text: str) -> Listen:
    """Return an address, or have argparse say what was expected."""
    try:
        return ListenAddress().convert(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None


def seconds(text: str) -> float:
    """Return the seconds of a duration, or have argparse say what was expected."""
    try:
        return Duration(0.1).convert(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None


def prometheus_url(text: str) -> str:
    """Return the address of a Prometheus, or have argparse say what was expected."""
    try:
        return Url().convert(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None
