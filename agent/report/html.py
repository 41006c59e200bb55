"""A report as one page that needs nothing else: no script, no network, made for paper too."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from agent.report import charts, words
from agent.report.blocks import (
    Block,
    Heading,
    Items,
    Table,
    about,
    alerts,
    comparisons,
    details,
    incidents,
    missing,
)
from agent.report.grid import Column
from agent.report.plot.frame import Size
from agent.report.plot.svg import element
from agent.report.plot.svg import words as escaped
from agent.report.report import Report, Section
from agent.report.style import STYLE
from agent.report.tail import Timed

_WIDE: Final = Size("wide", 920, 250)
_NARROW: Final = Size("narrow", 360, 240)
_WEEK_WIDE: Final = Size("wide", 920, 200)
_WEEK_NARROW: Final = Size("narrow", 360, 180)
_HALF_WIDE: Final = Size("wide", 450, 250)

_SHORT: Final = 12  # letters

_Draw = Callable[[Section, Size, str], str]


def page(report: Report) -> str:
    """Return the page."""
    document = report.document
    title = f"inferwatch report of {document['host'] or 'this host'}"
    body = [element("h1", {}, escaped(title))]
    body.append(element("p", {"class": "when"}, escaped(" ".join(about(document)))))
    body += [element("p", {"class": "when"}, escaped(one)) for one in missing(document)]
    against = document.get("against")
    if against is not None:
        body += map(block, comparisons(document, against))
    body += [section(place, one) for place, one in enumerate(report.sections)]
    for name, blocks in (
        ("Incidents", incidents(document["incidents"])),
        ("Alerts", alerts(document["alerts"])),
    ):
        body.append(element("section", {}, element("h2", {}, name), *map(block, blocks)))
    made = words.moment(document["generated_timestamp_seconds"])
    foot = f"Made {made} by inferwatch {document['agent_version']}; all times are UTC."
    body.append(element("footer", {}, escaped(foot)))
    return wrapped(title, body)


def wrapped(title: str, body: Iterable[str]) -> str:
    """Return a page.

    Args:
        title: text.
        body: markup.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<link rel="icon" href="data:,">'
        f"<title>{escaped(title)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def section(place: int, told: Section) -> str:
    """Return what is said about one subject."""
    facts = told.facts
    actions = [
        element("li", {"class": f"do-{one['action']}"}, escaped(one["sentence"]))
        for one in facts["recommendations"]
    ]
    tables = [block(one) for one in details(facts)]
    return element(
        "section",
        {},
        element("h2", {}, escaped(words.title(facts))),
        element("ul", {"class": "advice"}, *actions) if actions else "",
        element("div", {"class": "tiles"}, *_tiles(facts)),
        *_plots(f"s{place}", told),
        element("div", {"class": "tables"}, *tables),
    )


def _tiles(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the numbers that are looked for first."""
    load, head = facts["load"], facts["headroom_at_peak"]
    peak, able = load["peak"], facts["capacity"].get("tokens_per_minute")
    left = facts["growth"]["days_until_exhausted"]
    for name, value, more in (
        (
            "peak, tokens a minute",
            None if peak is None else words.count(peak["tokens_per_minute"]),
            "" if peak is None else words.moment(peak["start_timestamp_seconds"]),
        ),
        (
            "capacity, tokens a minute",
            None if not able else words.count(able["estimate"]),
            "" if not able else f"{words.count(able['low'])} to {words.count(able['high'])}",
        ),
        (
            "headroom at the peak",
            None if head is None or head["share"] is None else words.whole(head["share"]),
            "of the lower bound of the capacity",
        ),
        (
            "until capacity runs out",
            None if left is None or left["estimate"] is None else words.days(left["estimate"]),
            "" if left is None else words.interval(left, words.days).partition(" (")[2].rstrip(")"),
        ),
    ):
        shown = words.NOT_KNOWN if value is None else value
        style = "unknown" if value is None else "value"
        below = "" if value is None else more
        yield element(
            "div",
            {"class": "tile"},
            element("span", {"class": "name"}, escaped(name)),
            element("span", {"class": style}, escaped(shown)),
            element("span", {"class": "more"}, escaped(below)) if below else "",
        )


def _plots(name: str, section: Section) -> Iterator[str]:
    """Yield the plots for which there is something to draw."""
    subject, room = section.subject, section.room
    if not np.isnan(subject.tokens.five).all():
        yield _figure(
            f"{name}-demand",
            "Demand against capacity",
            charts.demand,
            section,
            legend=(
                ("c-load", "served"),
                *_drawn("c-asked", "asked for", room.demand),
                *_drawn("c-capacity", "capacity within the targets, 90 %", room.targets.estimate),
                *_drawn("c-stability", "stability limit", room.stability.estimate),
            ),
        )
    pair = [
        _figure(
            f"{name}-{timed.value.replace('_', '-')}",
            f"Latency against load: {charts.TIMED[timed]}",
            _latency(timed),
            section,
            wide=_HALF_WIDE,
            legend=(("c-point", "five minutes"), ("c-over", "over"), ("c-target", "target")),
        )
        for timed in (Timed.TIME_TO_FIRST_TOKEN, Timed.INTER_TOKEN)
        if timed in subject.tails and not np.isnan(subject.tails[timed].p95.five).all()
    ]
    if pair:
        yield element("div", {"class": "pair"}, *pair)
    if not np.isnan(subject.kv_peak).all() or not np.isnan(subject.running).all():
        yield _figure(
            f"{name}-batch",
            "KV cache and batch",
            charts.batch,
            section,
            legend=(("c-kv", "KV cache, highest"), ("c-load", "running"), ("c-waiting", "waiting")),
        )
    if not np.isnan(section.growth.week).all():
        yield _figure(
            f"{name}-week",
            "Hour of the week",
            charts.week,
            section,
            wide=_WEEK_WIDE,
            narrow=_WEEK_NARROW,
            legend=(("c-heat", "mean load, the stronger the more"), ("c-unseen", "never seen")),
        )
    able = section.facts["capacity"].get("tokens_per_minute") is not None
    growing = section.growth.line is not None
    if section.growth.past and (able or growing):
        left = section.growth.days
        yield _figure(
            f"{name}-until",
            "Until capacity runs out",
            charts.exhaustion,
            section,
            legend=(
                ("c-point", "busiest hour of a day"),
                *([("c-capacity", "capacity, 90 %")] if able else []),
                *([("c-trend", "growth, 90 %")] if growing else []),
                *([("c-when", "when it runs out, 90 %")] if left else []),
            ),
        )


def _drawn(style: str, said: str, column: Column) -> list[tuple[str, str]]:
    """Return the key of a line, nothing where there is none to be seen."""
    return [] if np.isnan(column).all() else [(style, said)]


def _latency(timed: Timed) -> _Draw:
    """Return how one latency is drawn."""
    return lambda section, size, name: charts.latency(section, size, name, timed)


def _figure(
    name: str,
    title: str,
    draw: _Draw,
    section: Section,
    *,
    legend: tuple[tuple[str, str], ...],
    wide: Size = _WIDE,
    narrow: Size = _NARROW,
) -> str:
    """Return a plot in both sizes, with its title and what its colours mean."""
    keys = [
        element("span", {"class": "key"}, element("i", {"class": f"k {style}"}), escaped(said))
        for style, said in legend
    ]
    caption = element("figcaption", {}, element("h3", {}, escaped(title)), *keys)
    return element("figure", {}, caption, draw(section, wide, name), draw(section, narrow, name))


def block(part: Block) -> str:
    """Return a part of the text."""
    if isinstance(part, Heading):
        return element(f"h{part.level}", {}, escaped(part.text))
    if isinstance(part, Items):
        return "".join(element("p", {}, escaped(sentence)) for sentence in part.sentences)
    return _table(part)


def _table(table: Table) -> str:
    """Return a table; a head without words is left out."""
    head, *rows = table.rows
    cells = "".join(element("th", {"scope": "col"}, escaped(cell) or " ") for cell in head)
    shown = element("thead", {}, element("tr", {}, cells)) if any(head) else ""
    lines = [
        element(
            "tr",
            {},
            element("th", {"scope": "row"}, escaped(row[0])),
            *(element("td", _whole(cell), escaped(cell) or " ") for cell in row[1:]),
        )
        for row in rows
    ]
    return element(
        "div", {"class": "scroll"}, element("table", {}, shown, element("tbody", {}, *lines))
    )


def _whole(cell: str) -> dict[str, object]:
    """Return the attributes of a cell: a number is not broken from its unit."""
    return {"class": "n"} if len(cell) <= _SHORT else {}
