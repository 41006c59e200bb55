"""Reading an engine's page and writing the agent's: ours, the official library's, and the floor.

All figures are CPU milliseconds of this process, medians over many pages whose numbers move.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from agent.model import SeriesTable
from benchmarks.client import RawClient
from benchmarks.load import BusyEngine
from collectors.engines import ENGINES
from collectors.engines.mapping import PageMap
from collectors.openmetrics import PageScanner

_BATCH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCosts:
    """CPU milliseconds for one page of an engine.

    Attributes:
        lines: on the page, comments included.
        size: bytes of it.
        wanted: samples on it that the agent publishes.
        scan: the scanner alone.
        mapped: the scanner and the mapping to series of the catalogue.
        official: prometheus_client's text parser.
        split: splitting on newlines and `float` of the wanted, with nothing checked: the floor.
        ratio: `scan / official`, the median of pairs measured one after the other.
    """

    lines: int
    size: int
    wanted: int
    scan: float
    mapped: float
    official: float
    split: float
    ratio: float


def _milliseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    begun = time.process_time()
    work()
    return (time.process_time() - begun) * 1e3


def _each(read: Callable[[bytes], object], pages: Sequence[bytes]) -> float:
    """Return the CPU time of reading one page, over several different ones."""
    begun = time.process_time()
    for page in pages:
        read(page)
    return (time.process_time() - begun) * 1e3 / len(pages)


def _wanted_names() -> frozenset[str]:
    """Return the sample names that the agent takes from a vLLM page."""
    engine = ENGINES["vllm"]
    plain = {
        name for family in engine.families for names in family.names for name in names.split("+")
    }
    parts = {name + part for name in plain for part in ("", "_bucket", "_sum", "_count")}
    return frozenset(parts | {facts.name for facts in engine.page_facts} | {engine.start_time})


def page_costs(rounds: int) -> PageCosts:
    """Measure reading `10 * rounds` pages of a busy engine, ten in turn by each reader."""
    engine = BusyEngine(0)
    names = _wanted_names()
    numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}

    def resolve(name: str, labels: Mapping[str, str]) -> int | None:
        if name not in names:
            return None
        return numbers.setdefault((name, tuple(labels.items())), len(numbers))

    first = engine.page()
    cuts = _cuts(first, names)
    scanner = PageScanner(resolve)
    page_map = PageMap(ENGINES["vllm"], "engine-0", SeriesTable())
    readers: tuple[Callable[[bytes], object], ...] = (
        scanner.scan,
        page_map.read,
        lambda page: _official(page.decode()),
        lambda page: _floor(page, cuts),
    )
    for read in readers:
        read(first)
    costs: list[tuple[float, ...]] = []
    for _ in range(rounds):
        pages = [_next(engine) for _ in range(_BATCH)]
        gc.collect()
        costs.append(tuple(_each(read, pages) for read in readers))
    scan, mapped, official, split = map(statistics.median, zip(*costs, strict=True))
    return PageCosts(
        lines=first.count(b"\n"),
        size=len(first),
        wanted=len(cuts),
        scan=scan,
        mapped=mapped,
        official=official,
        split=split,
        ratio=statistics.median(cost[0] / cost[2] for cost in costs),
    )


def _next(engine: BusyEngine) -> bytes:
    """Return the page a second later."""
    engine.step()
    return engine.page()


def _official(text: str) -> list[tuple[str, dict[str, str], float]]:
    """Return all samples as the official parser reads them."""
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def _cuts(page: bytes, names: frozenset[str]) -> list[tuple[int, int]]:
    """Return the line and the place in it of each wanted number."""
    found: list[tuple[int, int]] = []
    for at, line in enumerate(page.split(b"\n")):
        head, _, _ = line.rpartition(b" ")
        if line[:1] != b"#" and head.partition(b"{")[0].decode() in names:
            found.append((at, len(head) + 1))
    return found


def _floor(page: bytes, cuts: Sequence[tuple[int, int]]) -> list[float]:
    """Return the wanted numbers, trusting that every line is where it was."""
    lines = page.split(b"\n")
    return [float(lines[at][start:]) for at, start in cuts]


@dataclass(frozen=True, slots=True, kw_only=True)
class TickCosts:
    """CPU milliseconds for one tick over all engines, single-threaded, with blocking sockets.

    Attributes:
        floor: fetch, split, `float`.
        naive: fetch, official parser, a gauge of the classic registry set for each sample, and
            one exposition of that registry.
    """

    floor: float
    naive: float


def tick_costs(ports: Sequence[int], rounds: int) -> TickCosts:
    """Measure ticks over the engines at these ports; the pages move once a second."""
    clients = [RawClient(port) for port in ports]
    names = _wanted_names()
    cuts = [_cuts(client.get(), names) for client in clients]
    registry = Registry()

    def floor() -> None:
        for client, places in zip(clients, cuts, strict=True):
            _floor(client.get(), places)

    def naive() -> None:
        for number, client in enumerate(clients):
            registry.set(f"engine-{number}", _official(client.get().decode()))
        generate_latest(registry.registry)

    floors: list[float] = []
    naives: list[float] = []
    naive()
    for _ in range(rounds):
        time.sleep(0.5)
        floors.append(_milliseconds(floor))
        naives.append(_milliseconds(naive))
    for client in clients:
        client.close()
    return TickCosts(floor=statistics.median(floors), naive=statistics.median(naives))


class Registry:
    """The classic registry holding the samples of other pages, one gauge for each sample name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def set(self, instance: str, samples: Iterable[tuple[str, dict[str, str], float]]) -> None:
        """Set every sample, with a label that says whose it is."""
        for name, labels, value in samples:
            gauge = self._gauges.get(name)
            if gauge is None:
                gauge = self._gauges[name] = Gauge(
                    name, name, ("instance_name", *labels), registry=self.registry
                )
            gauge.labels(instance, *labels.values()).set(value)


def classic_exposition(page: bytes, rounds: int) -> float:
    """Return the CPU milliseconds in which the classic registry writes as many samples."""
    samples = _official(page.decode())
    by_name: dict[str, set[str]] = {}
    for name, labels, _ in samples:
        by_name.setdefault(name, set()).update(labels)
    registry = Registry()
    registry.set(
        "",
        [
            (name, {label: labels.get(label, "") for label in sorted(by_name[name])}, value)
            for name, labels, value in samples
        ],
    )
    return statistics.median(
        _milliseconds(lambda: generate_latest(registry.registry)) for _ in range(rounds)
    )
