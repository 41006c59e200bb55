"""`/` and its changing part: rendered when asked for, once a tick at most."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from agent.catalog import agent as catalog
from agent.catalog import alerts
from agent.model import Frame, Metric
from exporters.web import hardware
from exporters.web.body import links, moment, parts, title
from exporters.web.headline import headline
from exporters.web.markup import element, escaped
from exporters.web.policy import headers
from exporters.web.runbooks import runbooks
from exporters.web.script import SCRIPT
from exporters.web.seen import RUNBOOKS, Course, Samples, Seen, SourceLine, alerts_of
from exporters.web.style import STYLE
from exporters.web.terms import glossary

# A tick a second is faster than anybody reads.
_OFTEN: Final = 2.0
_PATIENT: Final = 5
"""Seconds after which a browser without scripts loads the page anew."""


HEADERS: Final = headers(style=STYLE, script=SCRIPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the page is given of the agent.

    Attributes:
        frame: the newest, None before the first tick.
        age: seconds since it was published.
        silence: why it is too old to show, or nothing.
        interval: seconds between ticks.
        engines: the document of `/api/v1/engines`.
        capacity: that of `/api/v1/capacity`.
        alerts: what Prometheus's API tells of alerts, with times on the clock of the frame.
        sources: how each fares.
        pages: names of engines whose own page can be asked for.
        host: what the agent is called.
        banner: a sentence for every visitor.
        looked_for: what is looked for on a host, a sentence each.
        version: of the agent.
        reports: there is a history to report on.
        courses: the last minutes of some metrics up to a moment in Unix seconds.
    """

    frame: Callable[[], Frame | None]
    age: Callable[[], float | None]
    silence: Callable[[], str]
    interval: Callable[[], float]
    engines: Callable[[], Mapping[str, Any]]
    capacity: Callable[[], Mapping[str, Any]]
    alerts: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
    sources: Callable[[], Sequence[SourceLine]]
    pages: Callable[[], Sequence[str]]
    host: str
    banner: str
    looked_for: Sequence[str]
    version: str
    reports: bool
    courses: Callable[[float], Mapping[Metric, Sequence[Course]]]


class WebPage:
    """Makes the page."""

    def __init__(self, asked: Given) -> None:
        self._asked = asked
        self._samples = Samples((catalog.ENGINE_UP, alerts.RECEIVER_UP, *hardware.METRICS))
        self._making = asyncio.Lock()
        self._made: tuple[Frame, str, Seen, str] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/", self._whole),
            web.get("/page", self._part),
            web.get(RUNBOOKS, runbooks),
        ]

    async def _whole(self, _request: web.Request) -> web.Response:
        """The whole page."""
        return _answer(self._document(*await self._now()))

    async def _part(self, _request: web.Request) -> web.Response:
        """What of it changes, for the script."""
        return _answer(self._changing(*await self._now()))

    async def _now(self) -> tuple[Seen, str]:
        """Return what is seen now, and the markup of it; made once for each frame."""
        frame, silence = self._asked.frame(), self._asked.silence()
        async with self._making:
            made = self._made
            if made is None or made[0] is not frame or made[1] != silence:
                seen = await self._seen(frame, silence)
                text = await _in_turns(parts(seen))
                if frame is None:
                    return seen, text
                made = self._made = (frame, silence, seen, text)
            return made[2], made[3]

    async def _seen(self, frame: Frame | None, silence: str) -> Seen:
        """Return what there is to show."""
        asked = self._asked
        return Seen(
            host=asked.host,
            time=None if frame is None else frame.time,
            silence=silence,
            banner=asked.banner,
            looked_for=asked.looked_for,
            engines=asked.engines() if frame is not None else {},
            capacity=asked.capacity() if frame is not None else {},
            alerts=alerts_of(await asked.alerts()),
            sources=asked.sources(),
            pages=asked.pages(),
            samples={} if frame is None else self._samples.of(frame),
            courses={} if frame is None else asked.courses(frame.time),
        )

    def _changing(self, seen: Seen, text: str) -> str:
        """Return the part that changes, with what the script needs to know of it."""
        return element(
            "div",
            {
                "id": "now",
                "data-age": f"{self._asked.age() or 0.0:.1f}",
                "data-every": f"{max(_OFTEN, self._asked.interval()):g}",
                "data-time": moment(seen),
                "data-title": title(seen),
                "data-said": headline(seen).text,
            },
            text,
        )

    def _document(self, seen: Seen, text: str) -> str:
        """Return the whole page."""
        asked = self._asked
        when = f"Numbers of {moment(seen)}." if seen.time is not None else "No numbers yet."
        foot = f"inferwatch {asked.version} on {asked.host}; times are UTC."
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<noscript><meta http-equiv="refresh" content="{_PATIENT}"></noscript>'
            '<link rel="icon" href="data:,">'
            f"<title>{escaped(title(seen))}</title><style>{STYLE}</style></head><body><main>"
            f"<h1>inferwatch on {escaped(asked.host)}</h1>"
            f'<p class="when" id="age">{escaped(when)}</p>'
            '<p class="gone" id="gone" role="alert" hidden></p>'
            '<p class="heard" id="spoken" role="status"></p>'
            f"{self._changing(seen, text)}{links(reports=asked.reports)}{glossary()}"
            f"<footer>{escaped(foot)}</footer></main><script>{SCRIPT}</script></body></html>\n"
        )


async def _in_turns(pieces: Iterable[str]) -> str:
    """Return pieces of markup together; a scrape waits for one of them at most."""
    made: list[str] = []
    for piece in pieces:
        made.append(piece)
        await asyncio.sleep(0)
    return "".join(made)


def _answer(text: str) -> web.Response:
    """Answer with markup."""
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=HEADERS)
