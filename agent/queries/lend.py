"""The agent's end: answers what the process asks of memory, a frame after the other."""

import struct
from array import array
from collections.abc import Callable, Iterator

from agent.framing import frame
from agent.queries import wire
from agent.store.lending import Lent, blocks, records
from agent.store.sparse import SparseSegment


class Lender:
    """Answers one process.

    Args:
        lend: gives what memory holds now.
    """

    def __init__(self, lend: Callable[[], Lent]) -> None:
        self._lend = lend
        self._lent: Lent | None = None
        self._told = -1

    def release(self) -> None:
        """Hold on to nothing: the question is answered."""
        self._lent = None

    def answer(self, kind: int, body: bytes) -> Iterator[bytes]:
        """Yield the frames that answer one; others may run between them.

        Raises:
            ValueError: nobody could have asked this.
        """
        try:
            if kind == wire.LEND:
                yield from self._segments()
            elif kind == wire.READ:
                yield from self._columns(wire.wanted_of(body))
            elif kind == wire.PRESENT:
                yield from self._present(int.from_bytes(body, "little"))
            else:
                raise ValueError(f"a frame of unknown kind {kind}")
        except (struct.error, IndexError) as error:
            raise ValueError(str(error)) from None
        yield frame(wire.END)

    def _segments(self) -> Iterator[bytes]:
        """Yield which segments there are, and the series that were not told before."""
        lent = self._lent = self._lend()
        yield wire.json_frame(
            wire.SEGMENTS,
            {
                "segments": [
                    [one.stream, one.first, one.last, one.number] for one in lent.segments
                ],
                "since": lent.since,
                "stored": lent.stored,
            },
        )
        yield frame(wire.LIVE, lent.live().tobytes())
        for told in lent.names(self._told):
            self._told = max(self._told, told[-1].number) if told else self._told
            yield wire.json_frame(wire.SERIES, [list(one) for one in told])

    def _columns(self, wanted: wire.Wanted) -> Iterator[bytes]:
        """Yield samples."""
        lent = self._held()
        segment = lent.segments[wanted.place]
        low, high = segment.ticks_within(wanted.first, wanted.last)
        if wanted.newest:
            low = max(low, high - 1)
        yield frame(wire.TIMES, segment.times[low:high].tobytes())
        if isinstance(segment, SparseSegment):
            for columns in records(segment, wanted.ids, low, high):
                yield wire.columns_frame(columns.items(), low)
            return
        for block in blocks(segment, wanted.ids, low, high):
            yield wire.block_frame(block, low)

    def _present(self, place: int) -> Iterator[bytes]:
        """Yield which series a segment has."""
        yield frame(wire.LIVE, array("i", self._held().segments[place].series()).tobytes())

    def _held(self) -> Lent:
        """Return what was lent.

        Raises:
            ValueError: nothing was.
        """
        if self._lent is None:
            raise ValueError("samples of segments that were not asked for")
        return self._lent
