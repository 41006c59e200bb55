"""The page that Prometheus scrapes, rendered from the newest frame without any I/O.

The page is prepared once for a set of series: the families in the order of the catalogue, each
line up to its value. After that a scrape writes the values and joins them with the lines.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from agent.catalog import METRICS
from agent.catalog import agent as catalog
from agent.model import SUFFIXES, Clock, Frame, Metric, MetricType, Series
from agent.picking import picker

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
        self._published = 0.0
        self._template: _Template | None = None

    async def publish(self, frame: Frame) -> None:
        """Take over the newest frame."""
        self._frame = frame
        self._published = self._clock.monotonic()

    async def aclose(self) -> None:
        """Nothing to let go of."""

    @property
    def frame(self) -> Frame | None:
        """The newest frame, None before the first tick."""
        return self._frame

    def age(self) -> float | None:
        """Return the seconds since the newest frame was published, None before the first."""
        return None if self._frame is None else self._clock.monotonic() - self._published

    def render(self, *, openmetrics: bool) -> bytes:
        """Return the page in the text format or in OpenMetrics, in UTF-8."""
        frame = self._frame
        if frame is None:
            return b"# EOF\n" if openmetrics else b""
        template = self._template
        if template is None or template.ids is not frame.ids:
            template = self._template = _Template(frame)
        age = self._clock.monotonic() - self._published
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


class _Template:
    """A page without its values.

    What stands between the values is prepared for each format when it is first asked for.
    """

    def __init__(self, frame: Frame) -> None:
        self.ids = frame.ids
        series = [frame.table[series_id] for series_id in frame.ids]
        order = sorted(range(len(series)), key=lambda at: _sort_key(series[at]))
        self._in_order = picker(order)
        self._shown = [*(series[at] for at in order), Series(catalog.FRAME_AGE, ())]
        self._heads: dict[bool, list[bytes]] = {}
        self._done: tuple[Frame, bool] | None = None
        self._body = b""

    def render(self, frame: Frame, *, openmetrics: bool, age: float) -> bytes:
        """Return the page for a frame of exactly the series that it was prepared for."""
        if openmetrics not in self._heads:
            self._heads[openmetrics] = _heads(self._shown, openmetrics=openmetrics)
        if self._done != (frame, openmetrics):
            pieces = [b""] * (2 * len(frame.ids) + 1)
            pieces[0::2] = self._heads[openmetrics]
            pieces[1::2] = _texts(self._in_order(frame.values))
            self._body = b"".join(pieces)
            self._done = (frame, openmetrics)
        end = "# EOF\n" if openmetrics else ""
        return self._body + f"{format_value(age)}\n{end}".encode()


def _heads(shown: Sequence[Series], *, openmetrics: bool) -> list[bytes]:
    """Return what stands between the values: ends of lines, introductions, beginnings of lines."""
    heads: list[bytes] = []
    family: Metric | None = None
    for series in shown:
        head = "\n" if heads else ""
        if series.metric is not family:
            family = series.metric
            head += _header(family, openmetrics=openmetrics) + "\n"
        heads.append((head + _prefix(series)).encode())
    return heads


def _texts(values: Collection[float]) -> Iterator[bytes]:
    """Return numbers as both formats write them.

    A page holds many numbers twice, since the upper buckets of a histogram are all the same. Each
    is written once, and all of them in one go, without a step of Python for each.
    """
    distinct = dict.fromkeys(values)
    written = "\n".join(map(repr, map(float, distinct))) + "\n"
    if "n" in written:  # inf, -inf, nan
        texts = [format_value(value).encode() for value in distinct]
    else:
        texts = written.encode().replace(b".0\n", b"\n").split(b"\n")
    return map(dict(zip(distinct, texts, strict=False)).__getitem__, values)


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
