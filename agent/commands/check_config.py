"""Check a configuration file without starting anything, and the files that it names."""

import argparse
from pathlib import Path

from agent.app.access import read_all
from agent.app.judging import rules_of
from agent.commands.common import settings_from
from agent.config.named_files import unreadable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """Say what is wrong, all at once, or that nothing is.

    The rule files are read as well, and the web configuration with its certificates and keys. Of
    secrets and certificates that are read when they are needed, it is only said if they cannot be:
    the agent starts without, and looks again at each use.
    """
    settings = settings_from(arguments.file)
    rules_of(settings)
    web_config = settings.exporters.http_api.web_config
    if web_config is not None:
        access = read_all(web_config)
        if access.config.http_server_config.http2:
            print(f"{web_config}: answers are HTTP/1.1 also to clients that offer HTTP/2")
    later = [*unreadable(settings)]
    for sentence in later:
        print(f"{arguments.file}: {sentence}")
    print(f"{arguments.file}: good" + (", but for what is said above" if later else ""))
    return 0
