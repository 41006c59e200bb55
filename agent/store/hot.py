"""Queries on segments in memory."""

from array import array

from agent.store.five import summarise
from agent.store.gather import Found, Query
from agent.store.segment import Segment
from agent.store.series import Labels, Matcher
from agent.store.target import Directory


class HotStretch:
    """A segment in memory, as it is when it is asked for: it may grow meanwhile."""

    def __init__(self, segment: Segment, directory: Directory) -> None:
        self.segment = segment
        self.stream = segment.stream
        self.first = segment.first
        self.last = segment.last
        self._directory = directory

    def samples(self, query: Query, first: int, last: int, found: Found) -> None:
        """Hand over what the query wants of the ticks from `first` to `last`, both included."""
        segment = self.segment
        low, high = segment.ticks_within(first, last)
        labels = segment.matching(query.matchers, self._directory)
        if not labels:
            return  # at nearly every question of one of the two streams
        # A copy: the segment may grow while somebody still has what is found here.
        ticks = segment.times[:high]
        times: dict[tuple[tuple[int, int], ...], array[float]] = {}
        for series_id, column in segment.columns(list(labels), low, high).items():
            if query.part is not None:
                (summary,) = summarise([column.values])
                if summary is not None:
                    stamp = array("d", segment.times[high - 1 : high])
                    found(labels[series_id], stamp, array("d", [summary.parts[query.part]]))
                continue
            runs = tuple(column.runs)
            shared = times.get(runs)
            if shared is None:
                shared = times[runs] = column.times(ticks)
            found(labels[series_id], shared, column.values)


def newest(
    stretch: HotStretch, matchers: tuple[Matcher, ...], first: int, last: int
) -> tuple[float, list[tuple[Labels, float]]] | None:
    """Return the time and the values of the newest tick from `first` to `last`, if there is one.

    Only for a segment of rows: there, what the newest row lacks has ended.
    """
    segment = stretch.segment
    low, high = segment.ticks_within(first, last)
    if low == high:
        return None
    tick = high - 1
    span = next(span for span in reversed(segment.spans) if span.first <= tick)
    selection = span.layout.select(matchers)
    values = span.row(tick)[selection.places].tolist()
    return segment.times[tick], list(zip(selection.labels, values, strict=True))
