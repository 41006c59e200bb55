"""The hot ring: the last minutes of one stream at full resolution, in memory.

A stream is a set of series that are appended together: the ticks are one, each interval of
recording rules may be another. A series that is not in the next row of its stream has ended;
in a stream of records, whoever writes them says so.
"""

from array import array
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from agent.store.asked import Questions
from agent.store.changes import Changes
from agent.store.layout import Layout
from agent.store.segment import WINDOW, Segment
from agent.store.series import milliseconds
from agent.store.sparse import SparseSegment
from agent.store.target import Directory
from agent.store.watch import Watches

MAX_TICKS: Final = 1200
"""Ticks of a segment; with more than four a second a window is cut into several."""

BACKLOG: Final = 3
"""Complete segments that wait for a disk that does not take them; older ones are given up."""

SMALL_STEP: Final = 5_000
"""Milliseconds by which a clock may step back such that the ticks are left out until it is back."""


class Ring:
    """The segments of a stream, the last of which grows.

    Args:
        stream: its name.
        directory: labels of the series.
        span: seconds that are kept.
        own: series that every row has besides, with the value 1.
        sealed: called with each complete segment.
        lost: called with a reason and a number of samples.
    """

    def __init__(
        self,
        stream: str,
        directory: Directory,
        *,
        span: float,
        own: Sequence[int] = (),
        sealed: Callable[[Segment], None] = lambda _segment: None,
        lost: Callable[[str, int], None] = lambda _reason, _samples: None,
    ) -> None:
        self.stream = stream
        self.span = span
        self.segments: deque[Segment] = deque()
        self.changes = Changes()
        self.questions = Questions(self.changes)
        self.watches = Watches()
        self._directory = directory
        self._own = list(own)
        self._sealed = sealed
        self._lost = lost
        self._current: Segment | None = None
        self._layout: Layout | None = None
        self._ids: Sequence[int] | None = None
        self._set_back = False

    def append(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Take over a row: all that the stream has at this moment.

        A row whose time is not after that of the one before is lost if the clock stepped back by
        seconds; if by more, a new stretch begins that counts instead of the one it overlaps.
        """
        moment = milliseconds(time)
        current = self._room(moment)
        if current is not None and current.times and moment <= current.last:
            self._lost("clock", len(ids))
            return
        layout, ended = self._laid_out(ids)
        if self._set_back:
            # Their end may lie in what no longer counts.
            ended = list({i for s in self.segments for i in s.series()} - set(layout.ids))
            self._set_back = False
        grown = current or Segment(self.stream, moment // WINDOW)
        numbers = array("d", values)
        numbers.extend([1.0] * len(self._own))
        row = layout.row(numbers)
        self.changes.add(row)
        grown.add(moment / 1000, layout, row, ended)
        self._grown(grown, moment)

    def record(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Take over values of some series of the stream; the others go on without.

        Several calls may have the same time. The clock is treated as by `append`.
        """
        moment = milliseconds(time)
        current = self._room(moment)
        if current is not None and moment < current.last:
            self._lost("clock", len(ids))
            return
        grown = current or SparseSegment(self.stream, moment // WINDOW)
        if not isinstance(grown, SparseSegment):
            raise TypeError("a stream takes rows or records, not both")
        grown.record(moment / 1000, ids, values)
        self._grown(grown, moment)

    def _room(self, moment: int) -> Segment | None:
        """Return the growing segment if this moment belongs there, or is too little before it."""
        current = self._current
        if current is None:
            return None
        back = current.last - moment
        full = current.window != moment // WINDOW or len(current.times) >= MAX_TICKS
        if back >= SMALL_STEP or (back < 0 and full):
            self._set_back = back > 0
            self._seal()
        return self._current

    def _grown(self, segment: Segment, moment: int) -> None:
        """Take note of what was added; only then do others see a new segment."""
        if self._current is None:
            self._current = segment
            self.segments.append(segment)
        self._trim(moment)

    def _laid_out(self, ids: Sequence[int]) -> tuple[Layout, list[int]]:
        """Return the layout of a row, and which series of the row before it has not."""
        before = self._layout
        if before is not None:
            if ids is self._ids:
                return before, []
            if before.given == array("i", (*ids, *self._own)):
                self._ids = ids
                return before, []
        layout = self._layout = Layout((*ids, *self._own), self._directory, before)
        self._ids = ids
        self.changes.lay_out(layout.origins, layout.gone_names)
        return layout, layout.gone

    def close(self) -> None:
        """Complete the growing segment."""
        current, self._current = self._current, None
        if current is not None:
            current.complete()
            self._sealed(current)

    def _seal(self) -> None:
        """Complete the growing segment; give up the oldest of those that the disk does not take."""
        self.close()
        waiting = [s for s in self.segments if not s.saved and not s.abandoned]
        if len(waiting) > BACKLOG:
            waiting[0].abandoned = True
            self._lost("disk", waiting[0].count())

    def _trim(self, now: int) -> None:
        """Forget what is older than the span and saved or given up."""
        while len(self.segments) > 1:
            oldest = self.segments[0]
            # Also in the other direction: a clock that was a year ahead left what nobody asks for.
            young = abs(now - oldest.last) <= self.span * 1000
            if young or not (oldest.saved or oldest.abandoned):
                break
            self.segments.popleft()
