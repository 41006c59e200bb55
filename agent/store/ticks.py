"""The ticks in memory, one after the other, as they were appended."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.store.segment import Segment
from agent.store.series import milliseconds


@dataclass(frozen=True, slots=True)
class Tick:
    """A row of the history.

    Attributes:
        time: Unix seconds, whole milliseconds.
        ids: series of the table; the same list as long as they are the same.
        values: as many.
    """

    time: float
    ids: Sequence[int]
    values: Sequence[float]


def ticks(segments: Sequence[Segment], own: int, after: float, until: float) -> Iterator[Tick]:
    """Yield the ticks after a moment and up to another; what went back in time is left out.

    Segments may grow meanwhile, in another thread.

    Args:
        segments: of rows, in the order of writing.
        own: the series that the history adds to each row, which is left out.
        after: Unix seconds, itself left out.
        until: Unix seconds, itself included.
    """
    last = milliseconds(after)
    for segment in segments:
        low, high = segment.ticks_within(last + 1, milliseconds(until))
        for index, span in enumerate(spans := list(segment.spans)):
            end = spans[index + 1].first if index + 1 < len(spans) else high
            shown = array("i", (series_id for series_id in span.layout.ids if series_id != own))
            places = span.layout.find(shown)
            for tick in range(max(span.first, low), min(end, high)):
                values = span.row(tick)[places].tolist()
                yield Tick(segment.times[tick], shown, values)
                last = max(last, milliseconds(segment.times[tick]))
