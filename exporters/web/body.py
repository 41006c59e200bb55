"""The part of the page that is made anew at each refresh."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from exporters.web.engines import engines
from exporters.web.hardware import gpus, host_facts
from exporters.web.headline import first, headline
from exporters.web.markup import element, escaped, heading, link, paragraph, table
from exporters.web.seen import RUNBOOKS, Seen, SourceLine

_STATES: Final = {
    "up": "up",
    "down": "down: it is there and fails",
    "absent": "absent: there is none on this host",
    "waiting": "waiting for its first answer",
}


def parts(seen: Seen) -> Iterator[str]:
    """Yield what is known now, piece by piece: others may run between two of them."""
    if seen.banner:
        yield element("p", {"class": "note"}, escaped(seen.banner))
    yield first(seen)
    yield from engines(seen)
    yield gpus(seen)
    yield host_facts(seen)
    yield _sources(seen.sources)


def body(seen: Seen) -> str:
    """Return all of it."""
    return "".join(parts(seen))


def title(seen: Seen) -> str:
    """Return what stands in the tab of a browser."""
    return f"{headline(seen).text} - {seen.host}"


def moment(seen: Seen) -> str:
    """Return when the numbers are of, UTC."""
    if seen.time is None:
        return ""
    return f"{datetime.fromtimestamp(seen.time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _sources(lines: Sequence[SourceLine]) -> str:
    """Return how each source fares."""
    rows = [
        (
            element("code", {}, escaped(line.name)),
            element("span", {"class": f"state-{line.state}"}, escaped(_said(line.state))),
            escaped(line.detail),
        )
        for line in lines
    ]
    shown = (
        element(
            "div",
            {"class": "scroll"},
            table(("source", "state", "what it says"), rows, about="How each source fares"),
        )
        if rows
        else paragraph("None yet.", "soft")
    )
    return element("section", {}, heading(2, "Sources", anchor="sources"), shown)


def _said(state: str) -> str:
    """Return a state in words."""
    return _STATES.get(state, state)


_REPORT: Final = "/api/v1/report"
_LINKS: Final = (
    ("/metrics", "/metrics", "for Prometheus: everything, each second"),
    (
        "/api/v1/engines",
        "/api/v1/engines",
        "verdicts, latencies, forecasts and memory of the engines, as JSON",
    ),
    (
        "/api/v1/capacity",
        "/api/v1/capacity",
        "what they can carry, what is asked, what is left and what it costs, as JSON",
    ),
    ("/api/v1/signals", "/api/v1/signals", "what autoscalers and routers go by, as JSON"),
    (
        f"{_REPORT}?format=html",
        _REPORT,
        "what the last day asked and what there was to give, as a page; also CSV and JSON",
    ),
    (
        "/api/v1/query?query=up",
        "/api/v1/query",
        "PromQL over the history: the agent is a Prometheus data source",
    ),
    ("/api/v1/alerts", "/api/v1/alerts", "alerts that are pending or firing, as JSON"),
    (RUNBOOKS, RUNBOOKS, "of each alert: what it means, what to look at, what to do"),
    ("/-/healthy", "/-/healthy", "200 while ticks complete"),
    ("/-/ready", "/-/ready", "200 once there is something to scrape"),
)


def links(*, reports: bool) -> str:
    """Return where everything else is.

    Args:
        reports: there is a history to report on.
    """
    found = [
        element("li", {}, link(address, shown), escaped(f" {what}"))
        for address, shown, what in _LINKS
        if reports or not address.startswith(_REPORT)
    ]
    return element(
        "section", {}, heading(2, "Everything else", anchor="links"), element("ul", {}, *found)
    )
