"""Say what the agent looks for on this host, what it finds, and what to do where something lacks.

Works beside a running agent or without one; serves, keeps and sends nothing.
"""

import argparse
import asyncio
import json
import os
import pwd
import socket
import textwrap
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.app.doctor import Finding, State, become_service, examine
from agent.app.version import version
from agent.commands.common import (
    add_config_argument,
    config_path,
    listen_address,
    settings_from,
)
from agent.config import Listen, Settings
from agent.config.settings import Logging, LogLevel
from agent.log import configure_logging
from agent.model import ConfigError
from agent.service import SystemClock

_WIDTH: Final = 88
_INDENT: Final = 9
_SERVICE: Final = "inferwatch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--listen",
        type=listen_address,
        metavar="ADDRESS",
        help="where the agent listens or will, in the place of what the configuration says",
    )
    parser.add_argument(
        "--as-service",
        action="store_true",
        help="look as the installed service: as its user, with the groups that its unit adds",
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace) -> int:
    """Say it; 0 unless something is broken."""
    configure_logging(Logging(level=LogLevel.ERROR))
    service = become_service() if arguments.as_service else ""
    path = config_path(arguments)
    return asyncio.run(
        _say(_settings(path, arguments.listen), path, as_json=arguments.json, service=service),
    )


def _settings(path: Path | None, listen: Listen | None) -> Settings | ConfigError:
    """Return the settings, or why there are none."""
    try:
        settings = settings_from(path)
    except ConfigError as error:
        return error
    if listen is None:
        return settings
    http_api = replace(settings.exporters.http_api, listen=(listen,))
    return replace(settings, exporters=replace(settings.exporters, http_api=http_api))


async def _say(
    settings: Settings | ConfigError, path: Path | None, *, as_json: bool, service: str
) -> int:
    """Print what is found as it is found, or all of it at the end; return the exit status."""
    if not as_json:
        who = f"as the service, {service}" if service else _who()
        print(f"inferwatch {version()} looks at {socket.gethostname()}, {who}.\n", flush=True)
    findings: list[Finding] = []
    async for finding in examine(settings, config=path, clock=SystemClock()):
        findings.append(finding)
        if not as_json:
            print(_told(finding), flush=True)
    broken = any(one.state is State.BROKEN for one in findings)
    if as_json:
        told = {"version": version(), "findings": [one.as_json() for one in findings]}
        print(json.dumps(told, indent=2))
    else:
        print(f"\n{_summary(findings)}")
    return int(broken)


def _who() -> str:
    """Return as whom it is looked: what a service may see is seen with its own rights alone."""
    known = {one.pw_uid: one.pw_name for one in pwd.getpwall()}
    me = known.get(os.geteuid(), str(os.geteuid()))
    if _SERVICE not in known.values():
        return f"as {me}"
    return (
        f"as {me}; what the service may see, sudo inferwatch doctor --as-service says: its user "
        "and the groups of its unit"
    )


def _told(finding: Finding) -> str:
    """Return a finding in words."""
    lines = [_wrapped(f"{finding.state.upper():<{_INDENT}}", f"{finding.topic}: {finding.found}")]
    if finding.state is not State.OK:
        for name, text in (("costs: ", finding.costs), ("do: ", finding.advice)):
            if text:
                lines.append(_wrapped(" " * _INDENT, name + text))
    return "\n".join(lines)


def _wrapped(begin: str, text: str) -> str:
    """Return a paragraph that stands to the right of a word; lines of its own stay so."""
    parts = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(
            line, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False
        )
        or [""]
    ]
    return begin + f"\n{' ' * _INDENT}".join(parts)


def _summary(findings: list[Finding]) -> str:
    """Return how it is on the whole."""
    many = Counter(one.state for one in findings)
    counts = f"{many[State.OK]} well, {many[State.MISSING]} missing, {many[State.BROKEN]} broken"
    if many[State.BROKEN]:
        return f"{counts}. What is broken wants somebody to act."
    if many[State.MISSING]:
        return f"{counts}. What is missing may be as you want it: each costs what is said."
    return f"{counts}. Nothing is missing."
