"""The page of a frame, in the Prometheus text format or in OpenMetrics.

A page is kept as a form: the families in the order of the catalogue, with a gap for each value.
To write it anew is to write the values and fill them in, one step in C. When series come or go,
which on a busy host happens every few seconds, only their families are made anew.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Final

from agent.catalog import METRICS
from agent.catalog import agent as catalog
from agent.model import SUFFIXES, Frame, Metric, MetricType, Series
from agent.picking import picker

_ORDER: Final = {metric: place for place, metric in enumerate(METRICS.values())}
_SUFFIX_ORDER: Final = {suffix: place for place, suffix in enumerate(SUFFIXES)}

_Line = tuple[tuple[str, ...], int, float, int, Series]
"""What sorts the line of a series within its family, its identifier, and the series."""


class Page:
    """Writes the page of one frame after the other.

    Attributes:
        shown: the frame whose page was asked for last.
    """

    def __init__(self) -> None:
        self.shown: Frame | None = None
        self._ids: Sequence[int] | None = None
        self._homes: dict[int, _Family] = {}
        self._families: dict[Metric, _Family] = {}
        self._pick = picker(())
        self._forms: dict[bool, bytes] = {}
        self._written: Frame | None = None
        self._texts: tuple[bytes, ...] = ()

    def text(self, frame: Frame, *, openmetrics: bool, age: float) -> bytes:
        """Return the page of a frame, in UTF-8; `age` is that of the frame in seconds."""
        self.write(frame)
        self.shown = frame
        if openmetrics not in self._forms:
            self._forms[openmetrics] = self._form(openmetrics=openmetrics)
        # Joining as many pieces takes three times as long.
        return self._forms[openmetrics] % (*self._texts, format_value(age).encode())

    def write(self, frame: Frame) -> None:
        """Write the values of a frame, if that was not done yet."""
        if self._written is frame:
            return
        if frame.ids is not self._ids:
            self._follow(frame)
        self._texts = tuple(_texts(self._pick(frame.values)))
        self._written = frame

    def _follow(self, frame: Frame) -> None:
        """Bring the families up to the series of a frame."""
        places = dict(zip(frame.ids, range(len(frame.ids)), strict=True))
        homes = self._homes
        changed: set[_Family] = set()
        for series_id in homes.keys() - places.keys():
            family = homes.pop(series_id)
            family.remove(series_id)
            changed.add(family)
        for series_id in places.keys() - homes.keys():
            series = frame.table[series_id]
            family = self._families.get(series.metric) or self._new_family(series.metric)
            family.add(series_id, series)
            homes[series_id] = family
            changed.add(family)
        for family in changed:
            family.settle()
            if not family.ids:
                del self._families[family.metric]
        order = chain.from_iterable(family.ids for family in self._families.values())
        self._pick = picker([*map(places.__getitem__, order)])
        self._ids = frame.ids
        self._forms.clear()

    def _new_family(self, metric: Metric) -> "_Family":
        """Return a family in its place among the others."""
        self._families[metric] = family = _Family(metric)
        in_order = sorted(self._families, key=_ORDER.__getitem__)
        self._families = {one: self._families[one] for one in in_order}
        return family

    def _form(self, *, openmetrics: bool) -> bytes:
        """Return the page with `%b` for each value, the last for the age of the frame."""
        forms = [family.form(openmetrics=openmetrics) for family in self._families.values()]
        age = _Family(catalog.FRAME_AGE)
        age.add(-1, Series(catalog.FRAME_AGE, ()))
        forms.append(age.form(openmetrics=openmetrics))
        if openmetrics:
            forms.append(b"# EOF\n")
        return b"".join(forms)


class _Family:
    """The lines of one metric, sorted.

    Attributes:
        metric: whose lines they are.
        ids: their series, in order.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.ids: list[int] = []
        self._lines: list[_Line] = []
        self._forms: dict[bool, bytes] = {}

    def add(self, series_id: int, series: Series) -> None:
        """Add a series; `settle` puts it into its place."""
        self._lines.append(
            (
                series.labels,
                _SUFFIX_ORDER[series.suffix],
                _bound(series.le),
                series_id,
                series,
            )
        )

    def remove(self, series_id: int) -> None:
        """Leave a series out."""
        del self._lines[self.ids.index(series_id)]
        self.ids.remove(series_id)

    def settle(self) -> None:
        """Take note that series were added or left out."""
        self._lines.sort()
        self.ids = [line[3] for line in self._lines]
        self._forms.clear()

    def form(self, *, openmetrics: bool) -> bytes:
        """Return the lines with `%b` for each value; every other `%` is doubled."""
        found = self._forms.get(openmetrics)
        if found is None:
            lines = "".join([_line(line[4]) for line in self._lines])
            header = _header(self.metric, openmetrics=openmetrics)
            found = self._forms[openmetrics] = (header.replace("%", "%%") + lines).encode()
        return found


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


def _line(series: Series) -> str:
    """Return the line of a series as a form."""
    labels = ",".join(f'{name}="{_escape(value)}"' for name, value in series.label_pairs())
    name = f"{series.sample_name}{{{labels}}}" if labels else series.sample_name
    return name.replace("%", "%%") + " %b\n"


def _escape(value: str) -> str:
    """Return a label value as it stands between quotes."""
    if not value.isascii():
        # What was no UTF-8, such as the name of a process, arrives as lone surrogates.
        value = value.encode("utf-8", "backslashreplace").decode()
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


@cache
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
    return "".join(f"{line}\n" for line in lines)
