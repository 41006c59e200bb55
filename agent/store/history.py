"""The history of one agent: frames go in, series come out."""

import math
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.model import Clock, Frame, Reading, SeriesTable
from agent.store.claim import Claim, TakenError
from agent.store.database import HistoryError, NoHistoryError
from agent.store.five import Part
from agent.store.gather import Query, Stretch, bounds, gather
from agent.store.hot import HotStretch, newest
from agent.store.lending import Lent
from agent.store.own import OwnSeries
from agent.store.prelude import Prelude
from agent.store.reader import COARSE, HistoryReader
from agent.store.recent import Recent
from agent.store.ring import Ring
from agent.store.segment import Segment
from agent.store.series import Labels, Matcher, MatchOp, SeriesSamples, is_stale, milliseconds
from agent.store.spans import visible
from agent.store.stats import Status
from agent.store.target import UP, Directory, Target
from agent.store.ticks import Tick, ticks
from agent.store.writer import Limits, Writer

HOT_SPAN: Final = 330.0
"""Seconds that stay in memory: windows of five minutes, and a little for late evaluations."""

TICKS: Final = ""
"""The stream of the ticks."""

RECORDS: Final = "records"
"""The stream of what rules record, each at its own interval."""


class History:
    """Keeps the samples of a run in memory and, with a path, on disk.

    `append` costs a copy of the row. `select` may be called from any thread; it reads the disk
    only for what is no longer in memory.

    Args:
        table: explains the series of every frame.
        clock: for the names of damaged files that are moved aside.
        path: the database; None keeps the last minutes in memory and no more.
        target: labels that are attached to every series.
        keep_full: names of metrics, such as histograms that rules use, that are kept in full
            though the catalogue says otherwise.
        limits: how much is kept on disk.
        span: seconds that stay in memory.
        told: called with a sentence for the log, from any thread.

    Attributes:
        status: how the disk fares.
        taken: another agent had the file when this one began.
    """

    def __init__(
        self,
        table: SeriesTable,
        *,
        clock: Clock,
        path: Path | None = None,
        target: Target = Target(),  # noqa: B008 - immutable
        keep_full: Collection[str] = (),
        limits: Limits = Limits(),  # noqa: B008 - immutable
        span: float = HOT_SPAN,
        told: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.status = Status()
        self.taken = False
        self._table = table
        self._span = span
        self._told = told
        self._trouble = ""
        self._directory = Directory(table, target)
        self._own = OwnSeries(table)
        self._rings: dict[str, Ring] = {}
        self._lock = threading.Lock()
        self._writer: Writer | None = None
        self._reader: HistoryReader | None = None
        self._prelude = Prelude(None, 0.0)
        self._began: dict[str, int] = {}
        self._recorded_in: list[tuple[Segment, int]] = []
        self._recorded_names = frozenset[str]()
        if path is not None:
            claim = Claim(path)
            self.taken = self.status.shut_out = _taken(claim)
            self._reader = HistoryReader(path, target)
            reader = None if self.taken else self._reader
            self._prelude = Prelude(reader, clock.time() * 1000, unknown=self.taken)
            self._writer = Writer(
                path,
                claim=claim,
                table=table,
                keep_full=keep_full,
                limits=limits,
                clock=clock,
                status=self.status,
                told=told,
            )

    def append(self, frame: Frame) -> None:
        """Take over a frame. A series that the frame before had and this one has not ends here."""
        if frame.table is not self._table:
            raise ValueError("the frame is that of another table of series")
        with self._lock:
            self._began.setdefault(TICKS, milliseconds(frame.time))
            self._ring(TICKS).append(frame.time, frame.ids, frame.values)
        if self._writer is not None:
            self._writer.nudge()

    def record(self, time: float, ids: Sequence[int], values: Sequence[float]) -> None:
        """Take over what a rule says; the next `select` gives it.

        Args:
            time: Unix seconds; several calls may have the same.
            ids: series of the table of this history.
            values: as many; the staleness marker where a series ends.
        """
        with self._lock:
            self._began.setdefault(RECORDS, milliseconds(time))
            self._ring(RECORDS).record(time, ids, values)

    def _ring(self, stream: str) -> Ring:
        """Return the ring of a stream, made on first sight."""
        ring = self._rings.get(stream)
        if ring is None:
            ring = self._rings[stream] = Ring(
                stream,
                self._directory,
                span=self._span,
                own=(self._table.intern(UP),) if stream == TICKS else (),
                sealed=self._sealed,
                lost=self.status.lose,
            )
        return ring

    def _sealed(self, segment: Segment) -> None:
        """Have a complete segment written; forget the labels of series that are gone."""
        if self._writer is None:
            segment.saved = True
        else:
            self._writer.submit(segment)
        self._prelude.forget(segment.first)
        used = {i for ring in self._rings.values() for s in ring.segments for i in s.series()}
        self._directory.keep_only(used)

    def select(
        self,
        matchers: Sequence[Matcher],
        start: float,
        end: float,
        *,
        resolution: float = 0.0,
        part: Part = Part.LAST,
    ) -> list[SeriesSamples]:
        """Return the series that satisfy every matcher, with their samples in (start, end].

        What is in memory comes from there. Before that, every sample where it was kept, and else
        one sample for five minutes: the `part` of the window.

        Args:
            matchers: conditions, all of which must hold.
            start: Unix seconds, itself left out.
            end: Unix seconds, itself included.
            resolution: seconds between the samples that are wanted; from 300 on, the five-minute
                windows are read and nothing else.
            part: which of their numbers.
        """
        query = Query(tuple(matchers), part if resolution >= COARSE else None)
        hot = self._hot()
        if self._reader is None or self._covered(milliseconds(start)):
            return gather(hot, query, start, end)
        leave_out = {s.segment.number for s in hot if s.segment.number is not None}
        try:
            with self._reader.reading():
                stored = self._reader.stretches(query, start, end, leave_out=leave_out)
                stretches: list[Stretch] = [*stored, *hot]
                return gather(stretches, query, start, end)
        except HistoryError as error:
            if not isinstance(error, NoHistoryError):
                self._tell_once(str(error))
            return gather(hot, query, start, end)

    def latest(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> list[tuple[Labels, float, float]]:
        """Return labels, time and value of the newest sample of each series in (start, end].

        What an instant query wants, at the cost of one row. Series that have ended are left out.
        """
        hot = self._hot()
        if not self._covered(milliseconds(start)):
            return [
                (series.labels, series.times[-1], series.values[-1])
                for series in self.select(matchers, start, end)
                if not is_stale(series.values[-1])
            ]
        query = Query(tuple(matchers))
        rows = [stretch for stretch in hot if stretch.stream == TICKS]
        found: dict[Labels, tuple[float, float]] = {}
        for series in gather([s for s in hot if s.stream != TICKS], query, start, end):
            if not is_stale(series.values[-1]):
                found[series.labels] = (series.times[-1], series.values[-1])
        pieces = visible(bounds(rows), milliseconds(start) + 1, milliseconds(end))
        for piece in reversed(pieces):  # the last may begin with a pause
            row = newest(rows[piece.stretch], query.matchers, piece.first, piece.last)
            if row is not None:
                found.update((labels, (row[0], value)) for labels, value in row[1])
                break
        return [(labels, time, value) for labels, (time, value) in found.items()]

    def _hot(self) -> list[HotStretch]:
        """Return the segments in memory, in the order of writing."""
        with self._lock:
            return [
                HotStretch(segment, self._directory)
                for ring in self._rings.values()
                for segment in ring.segments
            ]

    def recent(self) -> Recent:
        """Return what memory holds of the ticks now.

        To be asked until the next is appended, and not for what is recorded meanwhile.
        """
        with self._lock:
            return Recent(
                self._ring(TICKS),
                since=self._since,
                elsewhere=self._recorded(),
                prelude=self._prelude,
            )

    def ticks(self, after: float, until: float) -> Iterator[Tick]:
        """Yield the ticks in memory after a moment and up to another; for any thread.

        Args:
            after: Unix seconds, itself left out.
            until: Unix seconds, itself included.
        """
        with self._lock:
            ring = self._rings.get(TICKS)
            segments = [] if ring is None else list(ring.segments)
        return ticks(segments, self._table.intern(UP), after, until)

    def remembered(self, name: str, start: float, end: float) -> list[SeriesSamples]:
        """Return the samples of a metric in (start, end] that are in memory; never asks the disk.

        Args:
            name: of the samples.
            start: Unix seconds.
            end: likewise.
        """
        query = Query((Matcher("__name__", MatchOp.EQUAL, name),))
        return gather(self._hot(), query, start, end)

    def _recorded(self) -> frozenset[str]:
        """Return the names of the series in memory that rules wrote."""
        ring = self._rings.get(RECORDS)
        segments = () if ring is None else ring.segments
        # As many series in the same segments are the same ones: none goes.
        there = [(segment, len(segment.present)) for segment in segments]
        if there != self._recorded_in:
            self._recorded_in = there
            names = (segment.present.names(self._directory) for segment in segments)
            self._recorded_names = frozenset[str]().union(*names)
        return self._recorded_names

    def _covered(self, moment: int) -> bool:
        """Return whether memory holds all there is after a moment, in every stream.

        It does if it reaches back to that moment, and also if it still has all of this run and
        the runs before had ended by then: the rules of the first minutes need no disk.
        """
        return self._since() <= moment

    def _since(self) -> float:
        """Return the milliseconds after which memory holds all there is; see `_covered`."""
        if self._reader is None or self.status.shut_out:
            return -math.inf
        with self._lock:
            firsts = {
                stream: min(segment.first for segment in ring.segments)
                for stream, ring in self._rings.items()
                if ring.segments
            }
        until = self._prelude.until
        return max(
            (
                min(first, until) if first == self._began.get(stream) else first
                for stream, first in firsts.items()
            ),
            default=math.inf,
        )

    def lend(self) -> Lent:
        """Return what memory holds now, for another process to read beside the file."""
        with self._lock:
            segments = [segment for ring in self._rings.values() for segment in ring.segments]
        since = self._since()
        return Lent(self._table, segments, since, stored=since != -math.inf)

    def series(self) -> set[int]:
        """Return the series that are named by what is in memory, or is still to be written."""
        with self._lock:
            rings = self._rings.values()
            return {i for ring in rings for segment in ring.segments for i in segment.series()}

    def reading(self) -> Reading:
        """Return the samples that the history gives about itself."""
        return self._own.reading(self.status, on_disk=self._writer is not None)

    def _tell_once(self, sentence: str) -> None:
        """Say what is wrong, not each time that it is found to be."""
        if sentence != self._trouble:
            self._trouble = sentence
            self._told(sentence)

    def drain(self, timeout: float) -> bool:
        """Wait until every complete segment is written or was tried; return whether it ended."""
        return self._writer is None or self._writer.drain(timeout)

    def close(self, timeout: float = 10.0) -> bool:
        """Write what is in memory and let go of the file; safe to call twice.

        Returns:
            Whether that ended in time; what did not is lost.
        """
        if self._writer is None:
            return True
        with self._lock:
            for ring in self._rings.values():
                ring.close()
        ended = self._writer.close(timeout)
        self._writer = None
        if self._reader is not None:
            self._reader.close()
        return ended


def _taken(claim: Claim) -> bool:
    """Take a claim and return whether another agent has it."""
    try:
        claim.take()
    except TakenError:
        return True
    except OSError:  # the writer says what is wrong, and tries again
        return False
    return False
