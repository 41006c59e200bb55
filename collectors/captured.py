"""Captured pages of an engine as ticks: what its collector would have made of them.

    scrapes ──► documents of one moment ──► EngineCollector ──► RecordedTick

The collector is the one that asks running engines, so that a capture says what they would have.
"""

import itertools
import json
import re
import statistics
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar

from agent.catalog import agent as catalog
from agent.config import EngineInstance
from agent.look import reason
from agent.model import Look, Reading, RecordingError, SeriesTable, SourceError, SourceSpec
from agent.recording import RecordedTick
from agent.recording.scrapes import CaptureReader, Scrapes
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from collectors.engines.mapping import PageMap
from collectors.engines.profile import Engine
from collectors.http import Answer, GoneError

T = TypeVar("T")

_GONE: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_UNTIL_KNOWN: Final = 600
"""Ticks that are looked at for a page that tells the engine; a server may start slowly."""
_STALE_AFTER: Final = 10.0
_MISSED: Final = 2.5
"""Intervals without an answer after which what was read no longer holds."""
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


class CaptureClient:
    """Answers with captured documents as a server would.

    Args:
        documents: what it answered at any time, by path.
        headers: of each answer, their names in lower case.
    """

    def __init__(
        self, documents: Mapping[str, bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._standing = documents or {}
        self._headers = headers or {}
        self.scrapes: Scrapes = {}

    async def get(self, path: str) -> Answer:
        """Return what the path was answered.

        Raises:
            GoneError: there is none.
            SourceError: it was not asked for, nobody answered, or with an error.
        """
        scrape = self.scrapes.get(path)
        if scrape is None:
            if path in self._standing:
                return Answer(self._standing[path], self._headers)
            raise SourceError(f"{path} was not captured")
        if scrape.code is None:
            raise SourceError(f"nobody answered: {scrape.error or 'the capture says no more'}")
        if scrape.code in _GONE:
            raise GoneError(f"{path} was answered with {scrape.code}")
        if scrape.code != HTTPStatus.OK:
            raise SourceError(f"{path} was answered with {scrape.code}")
        return Answer(scrape.body, self._headers)

    async def get_json(self, path: str) -> Any:
        """Return a JSON document; errors as for `get`."""
        answer = await self.get(path)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise SourceError(f"the answer to {path} is not JSON") from error

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""


class _CaptureClock:
    """The time of the tick that is being read."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        """Return Unix seconds."""
        return self.now

    def monotonic(self) -> float:
        """Return the same: a capture has one clock."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Never wait."""
        del seconds


def captured_ticks(
    reader: CaptureReader,
    table: SeriesTable,
    *,
    client: CaptureClient | None = None,
    name: str | None = None,
) -> Iterator[RecordedTick]:
    """Yield what the collector of the engine makes of captured pages, tick by tick.

    The engine is told by its page. Values go stale after 10 s, or after 2.5 of the intervals at
    which it was captured.

    Args:
        reader: of the file.
        table: interns the series.
        client: with what the server answered beside that, if that is known.
        name: of the instance; without one, that of the file.

    Raises:
        RecordingError: there are no scrapes, or none of them is a page of a known engine.
    """
    ticks = reader.ticks()
    first: list[Scrapes] = []
    engine: Engine | None = None
    for tick in ticks:
        first.append(tick)
        engine = engine or _engine_of(tick)
        if (engine and len(first) > 1) or len(first) >= _UNTIL_KNOWN:
            break
    if engine is None:
        known = " or ".join(engine.title for engine in ENGINES.values())
        raise RecordingError(f"{reader.path}: none of its pages is one of {known}")
    first += itertools.islice(ticks, 16)
    client = client or CaptureClient()
    clock = _CaptureClock()
    name = name or _name(reader.path)
    collector = EngineCollector(
        EngineInstance(name=name, engine=engine.name, url="http://captured.invalid"),
        engine=engine,
        table=table,
        clock=clock,
        max_page_size=0,
        client=client,
    )
    appeared: Sequence[SourceSpec] = (
        SourceSpec(
            name=collector.name,
            stale_after=max(_STALE_AFTER, _MISSED * _interval(first)),
            up_id=table.intern(catalog.ENGINE_UP, (engine.name, name)),
        ),
    )
    for scrapes in itertools.chain(first, ticks):
        clock.now = _time(scrapes)
        client.scrapes = scrapes
        look = _look(collector, duration=next(iter(scrapes.values())).duration)
        yield RecordedTick(clock.now, [look], appeared, now=clock.now)
        appeared = ()


def _look(collector: EngineCollector, *, duration: float) -> Look:
    """Return what the collector makes of what the client has now."""
    try:
        reading: Reading = _at_once(collector.collect())
    except SourceError as error:
        return Look(source=collector.name, duration=duration, error=reason(error))
    return Look(source=collector.name, duration=duration, reading=reading)


def _at_once(answer: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine gives that waits for nothing, as with documents at hand."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waits for something")


def _engine_of(scrapes: Scrapes) -> Engine | None:
    """Return the engine whose page has most of a captured one, None where none has any of it."""
    best: tuple[int, Engine | None] = (0, None)
    for engine in ENGINES.values():
        scrape = scrapes.get(engine.metrics_path)
        if scrape is None or scrape.code != HTTPStatus.OK:
            continue
        try:
            page = PageMap(engine, "", SeriesTable()).read(scrape.body)
        except SourceError:
            continue
        best = max(best, (len(page.plan.ids), engine), key=lambda found: found[0])
    return best[1]


def _time(scrapes: Scrapes) -> float:
    """Return when the first path of a tick was asked."""
    return min(scrape.time for scrape in scrapes.values())


def _interval(ticks: Sequence[Scrapes]) -> float:
    """Return the usual seconds between ticks; 0 for a single one."""
    times = [_time(tick) for tick in ticks]
    steps = [after - before for before, after in itertools.pairwise(times)]
    return statistics.median(steps) if steps else 0.0


def _name(path: Path) -> str:
    """Return a name for the engine of a file, fit for a label."""
    return _NAME.sub("_", path.name.partition(".")[0])[:48] or "engine"
