"""Reports over a fleet as the settings and the command want them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.app.report import report_on
from agent.app.targets import targets_of
from agent.app.version import version
from agent.catalog.agent import BUILD_INFO
from agent.config import Settings
from agent.http_client import Access
from agent.remote import Client, Remote
from agent.report.asked import Asked, AskedError, moment
from agent.report.fleet.blocks import blocks
from agent.report.fleet.page import page
from agent.report.fleet.report import FINE, LATE, LONGEST, PAST, Wanted, build
from agent.report.fleet.scope import By, Part
from agent.report.grid import FIVE_MINUTES
from agent.report.report import DAY, History, Report, ReportError, Window
from agent.report.rows import table
from agent.report.served import Served
from agent.report.text import as_markdown, for_terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Which fleet.

    Attributes:
        url: of the server that has it.
        by: one of the values of `By`.
        clusters: only these; all where there are none.
    """

    url: str
    by: str = By.MODEL.value
    clusters: Sequence[str] = ()


def make(settings: Settings, asked: Asked, fleet: Fleet, *, now: float) -> Report:
    """Return the report that was asked for.

    Args:
        settings: how the server is asked, and which latencies are well.
        asked: which time, which model, in which form.
        fleet: which fleet.
        now: Unix seconds.

    Raises:
        AskedError: what is asked for makes no sense.
        ReportError: there is nothing to report.
        PromqlError: a question has no answer.
        SourceError: the server does not answer.
    """
    asked.check()
    for name, text in (("instance", asked.instance), ("against", asked.against)):
        if text:
            raise AskedError(f"--{name}: not of a fleet; say of which with --host")
    part = Part(
        by=By(fleet.by),
        clusters=fleet.clusters,
        model_name=asked.model or None,
        cluster_label=settings.fleet.cluster_label,
    )
    with remote(settings, fleet.url) as querier, _saying(querier):
        report = build(
            querier,
            Wanted(
                part=part,
                window=window_for(asked, now),
                targets=targets_of(settings.targets),
                told={
                    "generated_timestamp_seconds": now,
                    "agent_version": version(),
                    "server": fleet.url,
                },
            ),
        )
        return _with_missing(report, querier)


def make_of_host(settings: Settings, asked: Asked, *, url: str, host: str, now: float) -> Report:
    """Return the report of one host from what a server has of it, without incidents.

    Args:
        settings: how the server is asked, and which latencies are well.
        asked: which report.
        url: of the server.
        host: the label `instance` of the agent.
        now: Unix seconds.

    Raises:
        AskedError: what is asked for makes no sense.
        ReportError: there is nothing to report.
        PromqlError: a question has no answer.
        SourceError: the server does not answer.
    """
    asked.check()
    until = (now - LATE) // FIVE_MINUTES * FIVE_MINUTES
    end = _end(asked, until) // FIVE_MINUTES * FIVE_MINUTES
    with remote(settings, url) as querier, _saying(querier):
        answers = Served(querier, host, since=end - PAST, until=end)
        if not answers.known(BUILD_INFO.name):
            raise ReportError(
                f"{url} has no agent whose label instance is {host!r} within the "
                f"{PAST / DAY:.0f} days before the end of this time"
            )
        seen = History(
            answers=answers, first=end - PAST, last=until, full_since=_fine_since(asked, until)
        )
        report = report_on(seen, settings, asked, incidents=None, host=host, now=now)
        return _with_missing(report, querier)


def _with_missing(report: Report, querier: Remote) -> Report:
    """Return a report that tells of answers in which something is missing, such as a shard."""
    missing = [*report.document["missing"], *querier.missing()]
    return replace(report, document={**report.document, "missing": missing})


@contextlib.contextmanager
def _saying(querier: Remote) -> Iterator[None]:
    """Tell the same where there is nothing to report: it may be what is missing."""
    try:
        yield
    except ReportError as error:
        raise ReportError("; ".join([str(error), *querier.missing()])) from error


def _fine_since(asked: Asked, until: float) -> float | None:
    """Return since when is reckoned by the minute: all of a short time, nothing of a long one."""
    end = _end(asked, until)
    start = moment(asked.start, end, "from") if asked.start else end - DAY
    return start if end - start <= FINE else None


def _end(asked: Asked, newest: float) -> float:
    """Return up to when is asked for."""
    return min(moment(asked.end, newest, "to"), newest) if asked.end else newest


def remote(settings: Settings, url: str) -> Remote:
    """Return a server as the settings want it asked."""
    told = settings.fleet
    access = Access(bearer_token=told.bearer_token, basic_auth=told.basic_auth, tls=told.tls)
    return Remote(Client(url, access, tls=told.tls, headers=told.headers, timeout=told.timeout))


def window_for(asked: Asked, now: float) -> Window:
    """Return the time that is asked for, in whole windows of five minutes of the clock.

    Args:
        asked: the question.
        now: Unix seconds.

    Raises:
        AskedError: it makes no sense, or is too long.
    """
    until = _end(asked, now - LATE)
    start = moment(asked.start, until, "from") if asked.start else until - DAY
    end = until // FIVE_MINUTES * FIVE_MINUTES
    start = start // FIVE_MINUTES * FIVE_MINUTES
    if start >= end:
        raise AskedError("from: expected a time at least five minutes before the end and now")
    if end - start > LONGEST:
        raise AskedError(f"from: expected at most {LONGEST / DAY:.0f} days before the end")
    return Window(start=start, end=end)


FORMS: Final[dict[str, Callable[[Report], str]]] = {
    "console": lambda report: for_terminal(blocks(report.document)),
    "markdown": lambda report: as_markdown(blocks(report.document)),
    "csv": table,
    "json": lambda report: json.dumps(report.document, indent=2, allow_nan=False) + "\n",
    "html": page,
}
"""How a report becomes text, by the names of `asked.FORMATS`."""
