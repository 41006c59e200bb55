"""Say what the engines carried over a time, what they could have, and what to do about it."""

import argparse
import sys
from pathlib import Path

from agent.app.reports import FAILED, NOTHING, REFUSED
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.report.asked import FORMATS, Asked, AskedError
from agent.service import SystemClock


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
    from agent.app.report import FORMS, make
    from agent.app.report_files import into, write

    asked = Asked(
        start=arguments.start,
        end=arguments.end,
        instance=arguments.instance,
        model=arguments.model,
        against=arguments.against,
        form=arguments.form,
    )
    settings = settings_from(config_path(arguments))
    report = make(settings, asked, history=arguments.history, now=SystemClock().time())
    if arguments.folder is not None:
        into(arguments.folder, report, keep=arguments.keep)
    elif arguments.output is not None:
        write(arguments.output, FORMS[asked.form](report))
    else:
        sys.stdout.write(FORMS[asked.form](report))
    return 0
