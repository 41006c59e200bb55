"""Ask a running agent as a check plugin of Nagios, Icinga or Zabbix: output and exit status 0 to 3.

The exit status is 0 for OK, 1 for WARNING, 2 for CRITICAL and 3 for UNKNOWN.
"""

import argparse
import asyncio
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from agent.app.plugin import NotOursError, ask
from agent.config import Secret
from agent.config.access import BasicAuth, Tls
from agent.config.near import nearest
from agent.config.values import Url
from agent.http_client import Access
from agent.model import ConfigError, SourceError
from exporters.nagios import GAUGES, Status, Wanted, failed, result
from exporters.perfdata import Range

_URL: Final = "http://localhost:9745"
_LONGEST: Final = 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    _refuse_as_plugins_do(parser)
    parser.add_argument(
        "-u", "--url", type=_url, default=_URL, help=f"the agent; {_URL} by default"
    )
    parser.add_argument(
        "-t", "--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="10 by default"
    )
    parser.add_argument(
        "--instance", action="append", default=[], metavar="NAME", help="only this engine instance"
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="only this model"
    )
    parser.add_argument(
        "--alert", action="append", default=[], metavar="NAME", help="only alerts of this name"
    )
    parser.add_argument(
        "--severity",
        action="append",
        default=[],
        type=_severity,
        metavar="NAME=STATE",
        help="what a severity is: ok, warning, critical or unknown; by default critical and page "
        "are critical, info is ok, anything else a warning",
    )
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        type=_limit,
        metavar="NUMBER=WARN,CRIT",
        help=f"ranges of the plugin guidelines for one of {', '.join(GAUGES)}; either may be empty",
    )
    parser.add_argument(
        "--unreachable",
        type=_state,
        default=Status.CRITICAL,
        metavar="STATE",
        help="what an agent is that does not answer; critical by default",
    )

    _add_access(parser)


def _add_access(parser: argparse.ArgumentParser) -> None:
    """Declare how an agent behind TLS and passwords is asked."""
    parser.add_argument("--user", metavar="NAME", help="for basic authentication")
    parser.add_argument(
        "--password-file", type=Path, metavar="FILE", help="its first line is the password"
    )
    parser.add_argument(
        "--ca-file", type=Path, metavar="FILE", help="authorities that vouch for the agent"
    )
    parser.add_argument("--cert-file", type=Path, metavar="FILE", help="a certificate to show it")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="the key of that")
    parser.add_argument(
        "--insecure", action="store_true", help="take any certificate that the agent shows"
    )


def _access(arguments: argparse.Namespace) -> Access:
    """Return how the agent is asked.

    Raises:
        ConfigError: half of a pair is missing.
    """
    user, password = arguments.user, arguments.password_file
    for one, other, names in (
        (user, password, "--user and --password-file"),
        (arguments.cert_file, arguments.key_file, "--cert-file and --key-file"),
    ):
        if (one is None) != (other is None):
            raise ConfigError(f"{names} belong together: expected both, found one")
    return Access(
        basic_auth=None
        if user is None
        else BasicAuth(username=user, password=Secret(file=password)),
        tls=Tls(
            ca_file=arguments.ca_file,
            cert_file=arguments.cert_file,
            key_file=arguments.key_file,
            insecure_skip_verify=arguments.insecure,
        ),
    )


def _refuse_as_plugins_do(parser: argparse.ArgumentParser) -> None:
    """Let wrong arguments be unknown: with argparse's 2 they would be a critical service."""
    known = parser.parse_known_args

    def refuse(message: str) -> NoReturn:
        print(failed(Status.UNKNOWN, message)[1])
        parser.print_usage(sys.stderr)
        sys.exit(Status.UNKNOWN)

    def all_known(*given: Any) -> tuple[Any, list[str]]:
        found, others = known(*given)
        if others:  # else the parser of all commands would refuse them
            refuse(f"unrecognized arguments: {' '.join(others)}")
        return found, others

    parser.error = refuse  # type: ignore[method-assign]
    parser.parse_known_args = all_known  # type: ignore[method-assign,assignment]


def run(arguments: argparse.Namespace) -> int:
    """Ask, print what plugins print, and return what they return."""
    wanted = Wanted(
        instances=arguments.instance,
        models=arguments.model,
        alerts=arguments.alert,
        severities=dict(arguments.severity),
        limits=dict(arguments.limit),
    )
    try:
        access = _access(arguments)
        told = asyncio.run(
            ask(
                arguments.url,
                timeout=arguments.timeout,
                access=access,
                names=bool(arguments.alert),
            )
        )
        _check_names(arguments.alert, told.rules)
        status, text = result(told.alerts, told.replicas, wanted)
    except (ConfigError, NotOursError) as error:
        status, text = failed(Status.UNKNOWN, str(error))
    except SourceError as error:
        status, text = failed(arguments.unreachable, str(error))
    except Exception as error:  # noqa: BLE001 - a traceback and 1 would be a warning
        status, text = failed(Status.UNKNOWN, f"{type(error).__name__}: {error}")
    print(text)
    return int(status)


def _check_names(asked: Sequence[str], known: Collection[str] | None) -> None:
    """Refuse an alert that no rule gives: it would be well for ever.

    Raises:
        ConfigError: there is one.
    """
    for name in asked:
        if known is not None and name not in known:
            near = nearest(name, known)
            hint = f"; did you mean {near}?" if near else ""
            raise ConfigError(f"no rule of the agent gives an alert {name}{hint}")


def _url(text: str) -> str:
    """Return an address, or have argparse say what was expected."""
    try:
        return Url().convert(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}") from None


def _seconds(text: str) -> float:
    """Return a number of seconds, or have argparse say what was expected."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"expected seconds, up to {_LONGEST:g}")
    return seconds


def _state(text: str) -> Status:
    """Return a state by its name."""
    try:
        return Status[text.upper()]
    except KeyError:
        raise argparse.ArgumentTypeError("expected ok, warning, critical or unknown") from None


def _severity(text: str) -> tuple[str, Status]:
    """Return a severity and what it is."""
    name, _, state = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError("expected NAME=STATE, such as error=critical")
    return name.lower(), _state(state)


def _limit(text: str) -> tuple[str, tuple[Range | None, Range | None]]:
    """Return a number and its ranges."""
    name, _, ranges = text.partition("=")
    warning, _, critical = ranges.partition(",")
    if name not in GAUGES or not (warning or critical) or "," in critical:
        raise argparse.ArgumentTypeError(
            f"expected NUMBER=WARN,CRIT such as kv_cache=90,98, NUMBER one of {', '.join(GAUGES)}"
        )
    try:
        return name, (_range(warning), _range(critical))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, found '{ranges}'") from None


def _range(text: str) -> Range | None:
    """Return a range, None where nothing is said."""
    return Range.parse(text) if text else None
