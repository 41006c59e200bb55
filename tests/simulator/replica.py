"""A simulated server as the agent sees it: as a page, or at once as the samples made from one.

The samples come from the engine collector itself. It reads one page on which each number is the
place that it has in the lists of the engines; from then on those places are copied. What the
collector derives from a page, its own code derives here.
"""

import json
from collections.abc import Coroutine, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from agent.catalog import agent as agent_catalog
from agent.config import EngineInstance
from agent.model import Event, SeriesTable
from collectors.engines import ENGINES
from collectors.engines.collector import EngineCollector
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact
from collectors.engines.restart import Change
from collectors.http import Answer
from tests.fakes.clock import ManualClock
from tests.simulator.engine import Engine
from tests.simulator.page import MODEL, PageTemplate

_MARK: Final = 1e12
_STALE_AFTER: Final = 10.0


class _Documents:
    """Stands in for the HTTP client of a collector; answers at once."""

    def __init__(self, documents: Mapping[str, object], page: bytes) -> None:
        self._documents = documents
        self.page = page

    async def get(self, _path: str) -> Answer:
        """Return the page."""
        return Answer(self.page, {"content-type": "text/plain"})

    async def get_json(self, path: str) -> Any:
        """Return a document."""
        return self._documents[path]


class Replica:
    """One server with one engine a rank.

    Args:
        name: the label `instance_name`.
        engines: its ranks.
        start: Unix seconds of the beginning, at which the server is up.
        limits_known: whether its command line tells the limits.
        pid: of its server process.

    Attributes:
        up: whether its page can be read.
        events: what happened since they were taken last.
    """

    def __init__(
        self,
        name: str,
        engines: Sequence[Engine],
        *,
        start: float,
        model: str = MODEL,
        limits_known: bool = True,
        pid: int = 4000,
    ) -> None:
        self.name = name
        self.engines = list(engines)
        self.model = model
        self.pid = pid
        self.start = start
        self.up = True
        self.events: list[Event] = []
        limits = self.engines[0].limits
        self.template = PageTemplate(limits, model=model, ranks=len(self.engines))
        self.facts: dict[Fact, str] = {}
        if limits_known:
            self.facts[Fact.MAX_NUM_SEQS] = str(limits.max_num_seqs)
            self.facts[Fact.MAX_NUM_BATCHED_TOKENS] = str(limits.max_num_batched_tokens)
        self._samples: _Samples | None = None
        self._seen = float("-inf")
        self._last: tuple[list[int], list[float]] = ([], [])
        self._gone: tuple[list[int], list[float]] = ([], [])

    def page(self) -> bytes:
        """Return its page as it is now."""
        return self.template.write([engine.flat() for engine in self.engines], start=self.start)

    def restart(self, engines: Sequence[Engine], *, start: float) -> None:
        """Begin anew with engines that have counted nothing yet."""
        self.engines = list(engines)
        self.start = start
        if self._samples is not None:
            self.events += self._samples.restarted(start)

    def samples(self, table: SeriesTable, time: float) -> tuple[list[int], list[float]]:
        """Return series and values, the same list of series while it stays the same."""
        if self._samples is None:
            self._samples = _Samples(self, table)
            self._gone = ([self._samples.up_id], [0.0])
        if self.up:
            self._seen = time
            self._last = (
                self._samples.ids,
                self._samples.values([engine.flat() for engine in self.engines]),
            )
            return self._last
        if time - self._seen <= _STALE_AFTER:
            ids, values = self._last
            return ids, [*values[:-1], 0.0]
        return self._gone


class _Samples:
    """Copies the numbers of a server to the places of its samples."""

    def __init__(self, replica: Replica, table: SeriesTable) -> None:
        profile = ENGINES["vllm"]
        self._clock = ManualClock(time=replica.start)
        process = EngineProcess(
            engine=profile, pid=replica.pid, start_time=replica.start, facts=replica.facts
        )
        instance = EngineInstance(
            name=replica.name, engine="vllm", url=f"http://127.0.0.1:{8000 + replica.pid % 1000}"
        )
        collector = EngineCollector(
            instance,
            engine=profile,
            table=table,
            clock=self._clock,
            max_page_size=1 << 24,
            process_of=lambda _instance: process,
        )
        offset = 0
        marked = []
        for engine in replica.engines:
            count = len(engine.flat())
            marked.append([_MARK + at for at in range(offset, offset + count)])
            offset += count
        page = replica.template.write(marked, start=replica.start)
        client: Any = _Documents(json.loads(json.dumps(replica.template.documents())), page)
        collector._client = client
        collector._facts._client = client
        reading = _at_once(collector.collect())
        assert collector._plan is not None
        count = len(collector._plan.ids)
        self._derived = collector._derived
        self._derived.restarted()
        self._events = collector._events
        self.up_id = table.intern(agent_catalog.ENGINE_UP, ("vllm", replica.name))
        self.ids = [*reading.ids, self.up_id]
        # Numbers that no engine simulates stand behind those that one does.
        self._constants = [value for value in reading.values[:count] if value < _MARK]
        constants = iter(range(offset, offset + len(self._constants)))
        places = [
            round(value - _MARK) if value >= _MARK else next(constants)
            for value in reading.values[:count]
        ]
        self._pick = itemgetter(*places)
        derived = len(list(self._derived.samples([0.0] * count)))
        self._derived.restarted()
        self._tail = [*reading.values[count + derived :], 1.0]
        self._start_at = [at for at, value in enumerate(self._tail[:-1]) if value == replica.start]

    def values(self, flats: Sequence[Sequence[float]]) -> list[float]:
        """Return the values of `ids`."""
        numbers: list[float] = []
        for flat in flats:
            numbers += flat
        numbers += self._constants
        page = self._pick(numbers)
        return [*page, *(value for _id, value in self._derived.samples(page)), *self._tail]

    def restarted(self, start: float) -> tuple[Event, ...]:
        """Take note that the server has begun anew; return what the collector says of it."""
        self._derived.restarted()
        self._clock.set_time(start)
        for at in self._start_at:
            self._tail[at] = start
        return self._events(Change.RESTARTED)


def _at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")
