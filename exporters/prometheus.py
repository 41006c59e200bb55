"""The page that Prometheus scrapes, rendered from the newest frame without any I/O.

The page is prepared once for a set of series: the families in the order of the catalogue, each
line up to its value. After that a scrape formats only the values that changed since the scrape
before and joins the lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import ne
from typing import Final

from agent.catalog import METRICS
from agent.catalog import agent as catalog
from agent.model import SUFFIXES, Clock, Frame, Metric, MetricType, Series

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ORDER: Final = {metric: place for place, metric in enumerate(METRICS.values())}
_SUFFIX_ORDER: Final = {suffix: place for place, suffix in enumerate(SUFFIXES)}


class PrometheusExporter:
    """Keeps the newest frame and renders it on demand."""

    name = "prometheus"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frame: Frame | None = None
        self._template: _Template | None = None

    async def publish(self, frame: Frame) -> None:
        """Take over the newest frame."""
        self._frame = frame

    async def aclose(self) -> None:
        """Nothing to let go of."""

    @property
    def frame(self) -> Frame | None:
        """The newest frame, None before the first tick."""
        return self._frame

    def age(self) -> float | None:
        """Return the seconds since the newest frame was made, None before the first."""
        return None if self._frame is None else self._clock.time() - self._frame.time

    def render(self, *, openmetrics: bool) -> str:
        """Return the page in the text format or in OpenMetrics."""
        frame = self._frame
        if frame is None:
            return "# EOF\n" if openmetrics else ""
        template = self._template
        if template is None or template.ids is not frame.ids:
            template = self._template = _Template(frame)
        age = max(0.0, self._clock.time() - frame.time)
        return template.render(frame, openmetrics=openmetrics, age=age)


def accepts_openmetrics(accept: str) -> bool:
    """Return whether a client prefers OpenMetrics, by its `Accept` header (RFC 9110, 12.5.1)."""
    best = {"openmetrics": 0.0, "text": 0.0}
    for kind, quality in _weighted(accept):
        if kind == "application/openmetrics-text":
            best["openmetrics"] = max(best["openmetrics"], quality)
        elif kind in ("text/plain", "text/*", "*/*"):
            best["text"] = max(best["text"], quality)
    return best["openmetrics"] > 0 and best["openmetrics"] >= best["text"]


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether a client takes gzip, by its `Accept-Encoding` header (RFC 9110, 12.5.3)."""
    return any(kind == "gzip" and quality > 0 for kind, quality in _weighted(accept_encoding))


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """Yield what a header lists, in lower case, each with its weight."""
    for item in header.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                quality = _quality(value)
        yield kind, quality


def _quality(text: str) -> float:
    """Return a weight from 0 to 1; one that makes no sense counts as 0."""
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


@dataclass(slots=True)
class _Header:
    """The HELP and TYPE lines of a family, which the two formats write differently."""

    at: int
    text: str
    openmetrics: str


@dataclass(slots=True)
class _Pieces:
    """The page in pieces: headers, and the two halves of each line, up to its value and the value.

    Each piece but the first begins with the end of the line before it.
    """

    texts: list[str] = field(default_factory=list)
    headers: list[_Header] = field(default_factory=list)

    def add_header(self, metric: Metric) -> None:
        """Append the lines that introduce a family."""
        start = "\n" if self.texts else ""
        text = start + _header(metric, openmetrics=False)
        self.headers.append(
            _Header(len(self.texts), text, start + _header(metric, openmetrics=True))
        )
        self.texts.append(text)

    def add_line(self, series: Series) -> int:
        """Append a line; return where its value goes."""
        self.texts += ("\n" + _prefix(series), "")
        return len(self.texts) - 1


class _Template:
    """A page with places for its values."""

    def __init__(self, frame: Frame) -> None:
        self.ids = frame.ids
        series = [frame.table[series_id] for series_id in frame.ids]
        self._pieces = _Pieces()
        self._places = [0] * len(series)
        self._values: Sequence[float | None] = [None] * len(series)
        self._openmetrics = False
        self._frame: Frame | None = None
        self._body = ""
        family: Metric | None = None
        for position in sorted(range(len(series)), key=lambda at: _sort_key(series[at])):
            if series[position].metric is not family:
                family = series[position].metric
                self._pieces.add_header(family)
            self._places[position] = self._pieces.add_line(series[position])
        self._pieces.add_header(catalog.FRAME_AGE)
        self._pieces.add_line(Series(catalog.FRAME_AGE, ()))

    def render(self, frame: Frame, *, openmetrics: bool, age: float) -> str:
        """Return the page for a frame of exactly the series that it was prepared for."""
        if openmetrics is not self._openmetrics:
            self._openmetrics = openmetrics
            self._frame = None
            for header in self._pieces.headers:
                text = header.openmetrics if openmetrics else header.text
                self._pieces.texts[header.at] = text
        if frame is not self._frame:
            self._fill(frame.values)
            self._frame = frame
            self._body = "".join(self._pieces.texts)
        end = "# EOF\n" if openmetrics else ""
        return f"{self._body}{format_value(age)}\n{end}"

    def _fill(self, values: Sequence[float]) -> None:
        """Put the values that changed into their places."""
        changed = list(map(ne, values, self._values))
        # Half of a page changes between two scrapes; all of it is compared and written in C.
        written = "\n".join(map(repr, map(float, compress(values, changed)))) + "\n"
        if "n" in written:  # inf, -inf, nan
            new = [format_value(value) for value in compress(values, changed)]
        else:
            new = written.replace(".0\n", "\n").split("\n")
        texts = self._pieces.texts
        for place, text in zip(compress(self._places, changed), new, strict=False):
            texts[place] = text
        self._values = values


def _sort_key(series: Series) -> tuple[int, tuple[str, ...], int, float]:
    """Return the place of a line: catalogue, labels, then the parts of a histogram in order."""
    return (
        _ORDER[series.metric],
        series.labels,
        _SUFFIX_ORDER[series.suffix],
        _bound(series.le),
    )


def _bound(le: str) -> float:
    """Return the upper bound of a bucket; one that is no number comes first and harms no other."""
    try:
        return float(le)
    except ValueError:
        return float("-inf")


def format_value(value: float) -> str:
    """Return a number as both formats write it."""
    text = repr(float(value))
    if text.endswith(".0"):
        return text[:-2]
    if "n" in text:  # inf, -inf, nan
        return "NaN" if text == "nan" else ("+Inf" if value > 0 else "-Inf")
    return text


def _prefix(series: Series) -> str:
    """Return a sample line up to its value."""
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in series.label_pairs())
    return f"{series.sample_name}{{{labels}}} " if labels else f"{series.sample_name} "


def _escape(value: str) -> str:
    """Return a label value as it stands between quotes."""
    if not value.isascii():
        # What was no UTF-8, such as the name of a process, arrives as lone surrogates.
        value = value.encode("utf-8", "backslashreplace").decode()
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def _header(metric: Metric, *, openmetrics: bool) -> str:
    """Return the HELP, TYPE and UNIT lines of a family."""
    name = metric.family if openmetrics else metric.name
    kind: str = metric.type
    if not openmetrics and metric.type in (MetricType.INFO, MetricType.STATESET):
        kind = MetricType.GAUGE
    help_text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    if openmetrics:
        help_text = help_text.replace('"', '\\"')
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
    if openmetrics and metric.unit and name.endswith("_" + metric.unit):
        lines.append(f"# UNIT {name} {metric.unit}")
    return "\n".join(lines)
