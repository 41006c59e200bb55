"""Show what the history on disk holds, or write a range of it as OpenMetrics text."""

import argparse
import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from agent.app.history import target_of
from agent.commands.common import add_config_argument, config_path, settings_from
from agent.model import ConfigError
from agent.moment import unix_seconds
from agent.promql import PromqlError, parse
from agent.store.database import HistoryError
from agent.store.openmetrics import export
from agent.store.reader import HistoryReader
from agent.store.series import Matcher

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_config_argument(parser)
    path = parser.add_argument(
        "--path", type=Path, metavar="FILE", help="the history; default: that of the configuration"
    )
    parser.set_defaults(what=_show)
    actions = parser.add_subparsers(metavar="[ACTION]")
    child = actions.add_parser(
        "export",
        help="write a range as OpenMetrics text",
        description="Write a range as OpenMetrics text, for example for "
        "`promtool tsdb create-blocks-from openmetrics FILE`.",
    )
    # Suppressed: an action's own default would undo what stands before the action.
    child.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS)
    child.add_argument(
        "--path", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=path.help
    )
    child.add_argument("file", metavar="FILE", help="must not exist yet; - for standard output")
    child.add_argument(
        "--from",
        dest="start",
        type=_moment,
        default=-math.inf,
        metavar="TIME",
        help="after this; Unix seconds or such as 2026-11-21T08:00Z; default: all there is",
    )
    child.add_argument(
        "--to",
        dest="end",
        type=_moment,
        default=math.inf,
        metavar="TIME",
        help="up to this; default: all there is",
    )
    child.add_argument(
        "--match",
        action="append",
        default=[],
        metavar="SELECTOR",
        help="only these series, such as '{gpu=\"0\"}'; may be given several times",
    )
    child.set_defaults(what=_export)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked."""
    settings = settings_from(config_path(arguments))
    path = arguments.path or settings.history.path
    with contextlib.closing(HistoryReader(path, target_of(settings))) as reader:
        what: Callable[[argparse.Namespace, HistoryReader, Path], None] = arguments.what
        what(arguments, reader, path)
    return 0


def _show(_arguments: argparse.Namespace, reader: HistoryReader, path: Path) -> None:
    """Print what there is."""
    measured = reader.measure()
    stored = measured.stored
    print(f"{path}: {stored.size / 1e6:.1f} MB, {stored.series} series")
    for title, span, size in (
        ("every sample", stored.full, measured.full),
        ("five minutes", stored.five, measured.five),
    ):
        print(f"  {title}  {_span(span)}, {size / 1e6:.1f} MB")


def _span(span: tuple[int, int] | None) -> str:
    """Return a span of time for people."""
    if span is None:
        return "nothing yet"
    first, last = (datetime.fromtimestamp(moment // 1000, UTC) for moment in span)
    seconds = (span[1] - span[0]) // 1000
    unit, size = next((pair for pair in _UNITS if seconds >= 2 * pair[1]), _UNITS[-1])
    return f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC ({seconds // size} {unit})"


def _export(arguments: argparse.Namespace, reader: HistoryReader, path: Path) -> None:
    """Write a range."""
    selectors = [_matchers(text) for text in arguments.match]
    stored = reader.stored()
    if stored.five is None:
        raise HistoryError(f"{path}: holds nothing yet")
    first, last = (moment / 1000 for moment in stored.five)
    start, end = max(arguments.start, first - 1), min(arguments.end, last + 300)
    with _destination(arguments.file) as file:
        for piece in export(reader, selectors, start, end):
            file.write(piece)


@contextlib.contextmanager
def _destination(name: str) -> Iterator[TextIO]:
    """Open the file to write to, which must not exist."""
    if name == "-":
        yield sys.stdout
        return
    try:
        with Path(name).open("x", encoding="utf-8") as file:
            yield file
    except OSError as error:
        raise HistoryError(f"{name}: {error.strerror}") from None


def _matchers(text: str) -> Sequence[Matcher]:
    """Return the conditions of a selector.

    Raises:
        ConfigError: it is none.
    """
    try:
        query = parse(text)
    except PromqlError as error:
        raise ConfigError(f"--match {text}: {error}") from None
    if len(query.selectors) != 1 or query.selectors[0].range is not None:
        raise ConfigError(f"--match {text}: expected one selector, such as up or {{gpu='0'}}")
    return query.selectors[0].matchers


def _moment(text: str) -> float:
    """Return Unix seconds, or have argparse say what was expected."""
    try:
        return unix_seconds(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "expected Unix seconds or a time such as 2026-11-21T08:00Z"
        ) from None
