"""How the processes of engines end, where the kernel tells those who are not their parents."""

import os
import signal
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collectors.pidfd import Held, hold
from collectors.procfs import ProcessStat, process_stat

OUTLIVES: Final = 60.0
"""Seconds for which a process is still watched that no longer belongs to its engine."""

MOST: Final = 64
"""Processes of one engine that are held at a time."""

_Key = tuple[str, str]
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class End:
    """The end of one process.

    Attributes:
        engine: the kind and the name of the instance.
        role: what it did for the engine.
        pid: its number.
        signal: that ended it, without `SIG`; empty where it ended by itself.
        status: that it ended with; None where a signal ended it.
    """

    engine: _Key
    role: str
    pid: int
    signal: str
    status: int | None


@dataclass(slots=True)
class _Watched:
    """A process that is held. `missed` is when it was first seen to be gone from its engine."""

    engine: _Key
    role: str
    held: Held
    missed: float | None = None


class ProcessEnds:
    """Holds the processes of engines until they have ended.

    Args:
        proc: mount point of procfs. In one of another place numbers are not those of this kernel's
            calls, so nothing is held.
        hold: takes hold of a process.
    """

    def __init__(self, proc: str, *, hold: Callable[[int], Held | None] = hold) -> None:
        self._proc = proc
        self._hold = hold
        self._watched: dict[_Identity, _Watched] = {}
        self._refused: set[_Identity] = set()
        self._missing: set[_Identity] = set()

    def follow(self, engines: Mapping[_Key, Sequence[tuple[ProcessStat, str]]]) -> None:
        """Take note of the processes of all engines, each with its role, whenever they change."""
        seen: set[_Identity] = set()
        for engine, processes in engines.items():
            for stat, role in processes[:MOST]:
                identity = (stat.pid, stat.start_ticks)
                seen.add(identity)
                known = self._watched.get(identity)
                if known is not None:
                    known.engine, known.role, known.missed = engine, role, None
                elif identity not in self._refused:
                    self._take(identity, engine, role)
        self._missing = self._watched.keys() - seen
        self._refused &= seen

    def ended(self, now: float) -> list[End]:
        """Return which of the processes that are there no more have ended.

        Args:
            now: seconds on a clock that never goes back.
        """
        ends: list[End] = []
        for identity in list(self._missing):
            watched = self._watched[identity]
            if watched.missed is None:
                watched.missed = now
            found = list(_end(watched, identity[0]))
            ends += found
            if found or now - watched.missed >= OUTLIVES:
                self._missing.remove(identity)
                del self._watched[identity]
                watched.held.close()
        # What a server does when another of its processes has ended is told after that.
        return sorted(ends, key=lambda end: end.role == "server")

    def close(self) -> None:
        """Let go of all; safe to call twice."""
        for watched in self._watched.values():
            watched.held.close()
        self._watched.clear()
        self._missing.clear()

    def _take(self, identity: _Identity, engine: _Key, role: str) -> None:
        """Take hold of a process, if it is still the one that was seen."""
        pid, start = identity
        held = self._hold(pid) if self._proc == "/proc" else None
        again = None if held is None else process_stat(self._proc, pid)
        if held is None or again is None or again.start_ticks != start:
            self._refused.add(identity)
            return
        self._watched[identity] = _Watched(engine, role, held)


def _end(watched: _Watched, pid: int) -> Iterator[End]:
    """Yield the end of a process, if it has ended and the kernel says how."""
    try:
        code = watched.held.exit_code()
    except OSError:
        return
    if code is None:
        return
    if os.WIFSIGNALED(code):
        number = os.WTERMSIG(code)
        name = signal.Signals(number).name if number in _NAMED else f"SIG{number}"
        yield End(watched.engine, watched.role, pid, name.removeprefix("SIG"), None)
    else:
        yield End(watched.engine, watched.role, pid, "", os.WEXITSTATUS(code))


_NAMED: Final[Collection[int]] = frozenset(int(one) for one in signal.Signals)
