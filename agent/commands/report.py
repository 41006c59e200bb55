"""Say what the engines carried over a time, what they could have, and what to do about it."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agent.app.reports import FAILED, NOTHING, REFUSED
from agent.commands.common import (
    add_config_argument,
    config_path,
    prometheus_url,
    settings_from,
)
from agent.config import Settings
from agent.report.asked import FORMATS, Asked, AskedError
from agent.service import SystemClock

if TYPE_CHECKING:
    from agent.report.report import Report

Forms: TypeAlias = "Mapping[str, Callable[[Report], str]]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    parser.add_argument(
        "--history",
        type=Path,
        metavar="DB",
        help="another history than that of the configuration; without its incidents",
    )
    parser.add_argument(
        "--from",
        "--since",
        dest="start",
        default="",
        metavar="TIME",
        help="after this: such as 2026-11-21T08:00Z, Unix seconds, or how long before the end, "
        "such as 7d; default: a day",
    )
    parser.add_argument(
        "--to",
        dest="end",
        default="",
        metavar="TIME",
        help="up to this; default: the newest there is",
    )
    parser.add_argument("--instance", default="", metavar="NAME", help="this engine only")
    parser.add_argument("--model", default="", metavar="NAME", help="engines of this model only")
    parser.add_argument(
        "--against",
        default="",
        metavar="WHAT",
        help="compare with another engine by its name, with the time START/END, or with the same "
        "time so much earlier, such as 7d",
    )
    parser.add_argument("--format", dest="form", choices=FORMATS, default="console")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write there instead of standard output"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="write HTML and JSON into a folder instead, named by the end of the time",
    )
    parser.add_argument(
        "--keep",
        type=int,
        default=90,
        metavar="N",
        help="reports that are kept in the folder, the oldest go first; 90 by default",
    )
    parser.add_argument(
        "--prometheus",
        type=prometheus_url,
        metavar="URL",
        help="of a fleet instead of this host: from a server that speaks the Prometheus API and "
        "has the agents of all hosts, such as http://prometheus:9090",
    )
    parser.add_argument(
        "--by",
        choices=("model", "gpu", "cluster"),
        default=None,
        help="with --prometheus: by what the fleet is divided; by model unless something is said",
    )
    parser.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="NAME",
        help="with --prometheus: this cluster only; can be given more than once",
    )
    parser.add_argument(
        "--host",
        metavar="INSTANCE",
        help="with --prometheus: the report of one host, by its label instance, such as gpu7:9745",
    )
    # For the agent itself, which starts reports in processes of their own.
    parser.add_argument("--limited", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Make the report."""
    if not arguments.limited:
        return _run(arguments)
    # The agent imports all commands, and has no use for what makes reports.
    from agent.app.report import limit_itself
    from agent.report.report import ReportError

    limit_itself()
    try:
        return _run(arguments)
    except AskedError as error:
        return _ended(error, REFUSED)
    except ReportError as error:
        return _ended(error, NOTHING)
    except MemoryError:
        return _ended("it takes more memory than it may have: ask for a shorter time", FAILED)
    except Exception as error:  # noqa: BLE001 - whoever asked over HTTP is told in one line
        return _ended(str(error) or type(error).__name__, FAILED)


def _ended(why: object, status: int) -> int:
    """Say why there is no report."""
    print(why, file=sys.stderr)
    return status


def _run(arguments: argparse.Namespace) -> int:
    """Make the report."""
    asked = Asked(
        start=arguments.start,
        end=arguments.end,
        instance=arguments.instance,
        model=arguments.model,
        against=arguments.against,
        form=arguments.form,
    )
    settings = settings_from(config_path(arguments))
    report, forms = (
        _of_host(arguments, asked, settings)
        if arguments.prometheus is None
        else _of_fleet(arguments, asked, settings)
    )
    from agent.app.report_files import into, write

    if arguments.folder is not None:
        into(arguments.folder, report, keep=arguments.keep, forms=forms)
    elif arguments.output is not None:
        write(arguments.output, forms[asked.form](report))
    else:
        sys.stdout.write(forms[asked.form](report))
    return 0


def _of_host(
    arguments: argparse.Namespace, asked: Asked, settings: Settings
) -> tuple["Report", Forms]:
    """Return the report of this host, and how it becomes text."""
    from agent.app.report import FORMS, make

    if arguments.by is not None or arguments.cluster or arguments.host is not None:
        raise AskedError("--by, --cluster and --host: with --prometheus")
    return make(settings, asked, history=arguments.history, now=SystemClock().time()), FORMS


def _of_fleet(
    arguments: argparse.Namespace, asked: Asked, settings: Settings
) -> tuple["Report", Forms]:
    """Return the report of what a server has, and how it becomes text."""
    from agent.app.report import FORMS as FORMS_OF_HOST
    from agent.app.report_fleet import FORMS, Fleet, make, make_of_host

    if arguments.history is not None:
        raise AskedError("--history: without --prometheus")
    now = SystemClock().time()
    if arguments.host is not None:
        if arguments.by is not None or arguments.cluster:
            raise AskedError("--by and --cluster: of a fleet, so without --host")
        report = make_of_host(
            settings, asked, url=arguments.prometheus, host=arguments.host, now=now
        )
        return report, FORMS_OF_HOST
    fleet = Fleet(
        url=arguments.prometheus, by=arguments.by or "model", clusters=tuple(arguments.cluster)
    )
    return make(settings, asked, fleet, now=now), FORMS
