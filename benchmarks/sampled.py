"""Runs the agent and samples where its time goes: `python -m benchmarks.sampled OUT ARGUMENTS`.

A tracing profiler triples the cost of small calls and so points at the wrong ones, and the
kernel's CPU timers tick every 4 ms, half a tick of the agent. So a real-time timer is armed while
the event loop is not waiting; the stack that it finds counts once.
"""

import json
import random
import selectors
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

INTERVAL = 0.0004
"""Seconds between samples while the loop works."""

_ROOT = str(Path(__file__).parents[1]) + "/"


class Sampler:
    """Counts the places where the main thread was found."""

    def __init__(self) -> None:
        self._stacks: list[list[tuple[CodeType, int]]] = []
        self._busy = False

    def take(self, _number: int, frame: FrameType | None) -> None:
        """Keep one stack."""
        if self._busy:
            return
        self._busy = True
        stack: list[tuple[CodeType, int]] = []
        while frame is not None:
            stack.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        self._stacks.append(stack)
        self._busy = False

    def clear(self) -> None:
        """Forget what was counted, as after a warm-up."""
        self._stacks.clear()

    def counted(self) -> dict[str, dict[str, int]]:
        """Return samples by innermost line, and by every function and every line on the stack."""
        own: Counter[str] = Counter()
        functions: Counter[str] = Counter()
        lines: Counter[str] = Counter()
        for stack in self._stacks:
            own[f"{_place(stack[0][0])}:{stack[0][1]}"] += 1
            functions.update({_place(code) for code, _ in stack})
            lines.update({f"{_place(code)}:{line}" for code, line in stack})
        return {"own": dict(own), "functions": dict(functions), "lines": dict(lines)}


def _place(code: CodeType) -> str:
    """Return file and function."""
    file = code.co_filename.removeprefix(_ROOT)
    file = file.rpartition("site-packages/")[2].rpartition("/lib/")[2]
    return f"{file} {code.co_qualname}"


class _Selector(selectors.EpollSelector):
    """Has no samples taken while it waits."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as ever."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        ready = super().select(timeout)
        # A random beginning, or the same place after each wait would be found again and again.
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.1, 1) * INTERVAL, INTERVAL)
        return ready


def main() -> int:
    """Run the agent; write the samples when it ends. SIGUSR1 forgets those so far."""
    out, *arguments = sys.argv[1:]
    from agent.__main__ import main as agent_main

    sampler = Sampler()
    signal.signal(signal.SIGALRM, sampler.take)
    signal.signal(signal.SIGUSR1, lambda *_: sampler.clear())
    selectors.DefaultSelector = _Selector  # type: ignore[misc, assignment]
    try:
        return agent_main(arguments)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        Path(out).write_text(json.dumps(sampler.counted()))


if __name__ == "__main__":
    sys.exit(main())
