"""A vLLM under load, as its page shows it: the captured page with numbers that move.

The page is that of `tests/captures/vllm-04-saturated.prom`. Each second some requests finish:
every histogram takes as many observations, spread as those of the capture, every counter grows,
every gauge moves. So the lines that change are those that change at a real engine: all the buckets
above an observation and none below it.
"""

import bisect
import gzip
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client.utils import floatToGoString

CAPTURE = Path(__file__).parents[1] / "tests" / "captures" / "vllm-04-saturated.prom.gz"

FINISHED_PER_SECOND = 8
"""Requests that finish in a second. With it 52 % of the sample lines change each second; in a real
recording of a vLLM near its capacity 48 % change in the median second, 57 % in the busiest tenth.
"""

_BUCKET = re.compile(r'^(\w[\w:]*)_bucket\{(.*?),?le="([^"]+)"(.*)\}$')
_STILL = ("python_", "process_", "vllm:cache_config_info")


def template() -> bytes:
    """Return the captured page."""
    return gzip.decompress(CAPTURE.read_bytes())


@dataclass(slots=True)
class _Histogram:
    """Lines of one histogram, and the cumulative counts of its buckets."""

    buckets: list[int] = field(default_factory=list)
    counts: list[float] = field(default_factory=list)
    sum_line: int = -1
    count_line: int = -1


class BusyEngine:
    """The page of an engine that works.

    Args:
        seed: two engines with different seeds have different numbers.
        per_second: requests that finish in a second.
    """

    def __init__(self, seed: int, *, per_second: int = FINISHED_PER_SECOND) -> None:
        self._random = random.Random(seed)
        self._per_second = per_second
        self._heads: list[str] = []
        self._values: list[float | None] = []
        self._histograms: dict[str, _Histogram] = {}
        self._counters: list[int] = []
        self._gauges: list[int] = []
        self._types: dict[str, str] = {}
        for line in template().decode().split("\n"):
            self._take(line)
        self._shapes = {key: list(item.counts) for key, item in self._histograms.items()}

    def _take(self, line: str) -> None:
        """Learn one line of the capture."""
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            self._types[name] = kind
        if not line or line.startswith("#"):
            self._heads.append(line)
            self._values.append(None)
            return
        head, _, value = line.rpartition(" ")
        at = len(self._heads)
        self._heads.append(head)
        self._values.append(float(value))
        name = head.partition("{")[0]
        if name.startswith(_STILL) or name.endswith("_created"):
            return
        self._sort(at, head, name)

    def _sort(self, at: int, head: str, name: str) -> None:
        """Put a moving line where it belongs."""
        found = _BUCKET.match(head)
        if found is not None:
            item = self._histograms.setdefault(found[1] + found[2].rstrip(","), _Histogram())
            item.buckets.append(at)
            item.counts.append(self._value(at))
            return
        for suffix in ("_sum", "_count"):
            base = name.removesuffix(suffix)
            if base != name and self._types.get(base) == "histogram":
                labels = head.partition("{")[2].removesuffix("}").rstrip(",")
                item = self._histograms.setdefault(base + labels, _Histogram())
                setattr(item, f"{suffix[1:]}_line", at)
                return
        kind = self._types.get(name, self._types.get(name.removesuffix("_total"), ""))
        if kind == "counter" and self._value(at) > 0:
            self._counters.append(at)
        elif kind == "gauge" and "sleep_state" not in name:
            self._gauges.append(at)

    def _value(self, at: int) -> float:
        """Return the value on a sample line."""
        value = self._values[at]
        assert value is not None
        return value

    def step(self) -> None:
        """Let a second pass."""
        for key, item in self._histograms.items():
            self._observe(item, self._shapes[key])
        for at in self._counters:
            self._values[at] = self._value(at) + self._random.randint(1, 40)
        for at in self._gauges:
            name = self._heads[at]
            if "perc" in name:
                self._values[at] = self._random.uniform(0.5, 1.0)
            elif "num_requests" in name:
                self._values[at] = float(self._random.randint(0, 30))

    def _observe(self, item: _Histogram, shape: list[float]) -> None:
        """Add observations to a histogram, spread as in the capture."""
        total = shape[-1] if shape else 0.0
        if total <= 0:
            return
        for _ in range(self._per_second):
            first = bisect.bisect_left(shape, self._random.uniform(0, total))
            for place in item.buckets[first:]:
                self._values[place] = self._value(place) + 1.0
        if item.count_line >= 0:
            self._values[item.count_line] = self._value(item.count_line) + self._per_second
        if item.sum_line >= 0:
            grown = self._random.uniform(0.01, 3.0) * self._per_second
            self._values[item.sum_line] = self._value(item.sum_line) + grown

    def page(self) -> bytes:
        """Return the page of this moment, numbers written as prometheus_client writes them."""
        return "\n".join(
            head if value is None else f"{head} {_written(value)}"
            for head, value in zip(self._heads, self._values, strict=True)
        ).encode()


def _written(value: float) -> str:
    """Return a number as the engine writes it."""
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
