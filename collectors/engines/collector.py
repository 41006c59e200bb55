"""One engine instance as a source: its page, its facts, and what follows from both.

page ──► scanner ──► plan ──► series of the catalogue ─┐
facts, command line ──► info and limits ───────────────┼──► Reading
page + facts ──► KV tokens, requests given up ─────────┘
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agent.catalog import engine as catalog
from agent.catalog import placement
from agent.config import EngineInstance
from agent.model import Clock, Event, Reading, SeriesTable, SourceError
from collectors.engines.bounded import MAX_LABEL
from collectors.engines.derived import Derived, slot_use
from collectors.engines.facts import Facts, fact_samples
from collectors.engines.mapping import Page, PageMap, Plan
from collectors.engines.model_files import NOTHING, ModelReader, model_samples
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Engine, Fact
from collectors.engines.restart import Change, RestartWatch
from collectors.http import Address, Answer, Documents, GoneError, HttpClient

ProcessOf = Callable[[EngineInstance], EngineProcess | None]


def _unknown_process(_instance: EngineInstance) -> None:
    """Return that nothing is known of the process behind an address."""


class EngineCollector:
    """Asks one server of one engine.

    Args:
        instance: name, address and credentials.
        engine: the profile of `instance.engine`.
        table: interns the series.
        clock: stamps events, and says when facts are due.
        max_page_size: bytes of a page, after decompression.
        process_of: finds the process of this host that serves an instance, if it is known.
        gpus: indexes and identifiers of the GPUs that the configuration says it runs on.
        client: gives the documents of the server, where they do not come from its address.

    Attributes:
        name: `engine/` and the name of the instance.
        last_page: the last page that could be read, as it came; None before the first.
        last_content_type: how the engine called it.
    """

    def __init__(
        self,
        instance: EngineInstance,
        *,
        engine: Engine,
        table: SeriesTable,
        clock: Clock,
        max_page_size: int,
        process_of: ProcessOf = _unknown_process,
        gpus: Sequence[str] = (),
        client: Documents | None = None,
    ) -> None:
        self.name = f"engine/{instance.name}"
        self.last_page: bytes | None = None
        self.last_content_type = ""
        self.instance = instance
        self._engine = engine
        self._table = table
        self._clock = clock
        self._process_of = process_of
        self._labels = (engine.name, instance.name)
        self._start_time_id = table.intern(catalog.START_TIME, self._labels)
        self._client: Documents = client or HttpClient(
            Address(
                url=instance.url,
                unix_socket=instance.unix_socket,
                bearer_token=instance.bearer_token,
                basic_auth=instance.basic_auth,
                tls=instance.tls,
            ),
            max_size=max_page_size,
            size_hint="raise collectors.engines.max_page_size if that is right",
        )
        self._facts = Facts(engine, self._client, clock)
        self._pins = [
            (table.intern(placement.PINNED_INFO, (*self._labels, gpu)), 1.0)
            for gpu in dict.fromkeys(gpus)
        ]
        self._model = ModelReader()
        self._model_files = NOTHING
        self._known: Mapping[Fact, str] = {}
        self._known_samples: list[tuple[int, float]] = []
        self._map = PageMap(engine, instance.name, table)
        self._derived = Derived(engine, instance.name, table)
        self._watch = RestartWatch()
        self._change = Change.NONE
        self._plan: Plan | None = None
        self._cut = 0
        self._layout: tuple[Plan | None, list[int]] = (None, [])
        self._ids: list[int] = []

    async def collect(self) -> Reading:
        """Ask the engine once.

        Raises:
            SourceError: there is no page, or none that can be read; the message says why.
        """
        answer = await self._page()
        process = self._process_of(self.instance)
        self._note(
            self._watch.identity(
                header=answer.headers.get(self._engine.identity_header) or None,
                process=None if process is None else (process.pid, process.start_time),
            )
        )
        await self._facts.refresh()
        slots = self._engine.slots
        document = None if slots is None else await self._facts.document(slots.path)
        # From here on nothing waits, so nothing that was noticed is lost to a time limit.
        return self._read(answer, process, document)

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self._client.aclose()

    async def _page(self) -> Answer:
        """Return the page."""
        try:
            return await self._client.get(self._engine.metrics_path)
        except GoneError as error:
            raise SourceError(f"{error}: {self._engine.without_metrics}") from error

    def _note(self, change: Change) -> None:
        """Keep what happened until a reading can tell of it."""
        if change is not Change.NONE:
            self._facts.forget()
            self._map.restarted()
            if self._change is not Change.RESTARTED:
                self._change = change

    def _read(self, answer: Answer, process: EngineProcess | None, document: Any) -> Reading:
        """Return the reading that follows from what was fetched."""
        said = {} if process is None else process.facts
        self._map.name_model(self._facts.known({}, said).get(Fact.MODEL_NAME, ""))
        page = self._map.read(answer.body)
        self.last_page = answer.body
        self.last_content_type = answer.headers.get("content-type", "")
        self._note(self._watch.identity(page=page.start_time))
        self._note(self._watch.counters(page.plan, page.values))
        change, self._change = self._change, Change.NONE
        if change is Change.RESTARTED:
            self._derived.restarted()
            self._cut = 0
        if page.plan is not self._plan:
            self._derived.prepare(page.plan)
            self._plan = page.plan
        known = self._facts.known(next(iter(page.plan.facts.values()), {}), said)
        files = self._model.files(process)
        if known != self._known or files is not self._model_files:
            self._known, self._model_files = known, files
            self._known_samples = [
                *fact_samples(known, self._labels, self._table),
                *model_samples(files, known, self._labels, self._table),
            ]
        further = [
            *page.doubtful,
            *self._derived.samples(page.values),
            *self._known_samples,
            *self._pins,
            *self._start_time(page, process),
            *self._slots(document, page, known, process),
        ]
        return self._reading(page, further, (*self._events(change), *self._labels_cut(page.plan)))

    def _slots(
        self, document: Any, page: Page, known: Mapping[Fact, str], process: EngineProcess | None
    ) -> list[tuple[int, float]]:
        """Return the use of the KV cache where only the slots say it."""
        if self._engine.slots is None:
            return []
        # Without --parallel llama-server chooses a number of slots that share one cache.
        unified = process is not None and (
            Fact.UNIFIED_KV in process.facts or Fact.MAX_NUM_SEQS not in process.facts
        )
        use = slot_use(document, self._engine.slots, unified=unified)
        if use is None:
            return []
        used, capacity = use
        labels = (*self._labels, known.get(Fact.MODEL_NAME, ""), "")
        samples = {catalog.KV_CACHE_USED: used, catalog.KV_CACHE_CAPACITY: capacity}
        if capacity > 0:
            samples[catalog.KV_CACHE_USAGE] = used / capacity
        interned = {self._table.intern(metric, labels): value for metric, value in samples.items()}
        if Fact.MAX_NUM_SEQS not in known:  # each runs one request
            interned[self._table.intern(catalog.MAX_NUM_SEQS, self._labels)] = float(len(document))
        # Older releases say some of it on the page, which then counts.
        return [
            (number, value) for number, value in interned.items() if number not in page.plan.ids
        ]

    def _start_time(self, page: Page, process: EngineProcess | None) -> Iterable[tuple[int, float]]:
        """Yield when the server started, if that is known."""
        start = page.start_time
        if start is None and process is not None:
            start = process.start_time
        if start is not None:
            yield self._start_time_id, start

    def _events(self, change: Change) -> tuple[Event, ...]:
        """Return what happened to the engine."""
        if change is Change.NONE:
            return ()
        restarted = change is Change.RESTARTED
        return (
            Event(
                time=self._clock.time(),
                kind="engine_restarted" if restarted else "engine_counters_reset",
                source=self.name,
                labels={"engine": self._engine.name, "instance_name": self.instance.name},
                message=f"{self._engine.title} {self.instance.name} was restarted"
                if restarted
                else f"counters of {self.instance.name} fell although it was not restarted",
            ),
        )

    def _labels_cut(self, plan: Plan) -> Iterable[Event]:
        """Yield that label values were cut, whenever there are more of them than ever."""
        if plan.cut > self._cut:
            self._cut = plan.cut
            yield Event(
                time=self._clock.time(),
                kind="labels_cut",
                source=self.name,
                labels={"engine": self._engine.name, "instance_name": self.instance.name},
                message=f"{plan.cut} series of {self.instance.name} have label values of more than "
                f"{MAX_LABEL} characters: they are cut, and told apart by a digest at their end",
            )

    def _reading(
        self, page: Page, further: list[tuple[int, float]], events: tuple[Event, ...]
    ) -> Reading:
        """Return it all, with the list of series of the last reading where it is the same."""
        more = [number for number, _ in further]
        if self._layout[0] is not page.plan or self._layout[1] != more:
            self._layout = (page.plan, more)
            self._ids = [*page.plan.ids, *more]
        values = [*page.values, *(value for _, value in further)]
        if not math.isfinite(sum(values)):
            return _of_numbers(self._ids, values, events)
        return Reading(self._ids, values, events)


def _of_numbers(ids: Sequence[int], values: Sequence[float], events: tuple[Event, ...]) -> Reading:
    """Return a reading without what is no number: engines write NaN for what they cannot say."""
    kept = [
        (number, value) for number, value in zip(ids, values, strict=True) if math.isfinite(value)
    ]
    return Reading([number for number, _ in kept], [value for _, value in kept], events)
