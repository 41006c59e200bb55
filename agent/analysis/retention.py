"""Whether what was learned of a replica still holds: taken up after a restart, or dropped.

How it is decided:

    saved ────► does the fingerprint fit? ──► restored
                           │ no
    learned ──► is it another one now? ─────► dropped, with a sentence
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.analysis.fingerprint import Fingerprint, differences

PATIENCE: Final = 30.0
"""Seconds to wait for what a saved fingerprint has and the sources do not say yet."""

_SURE: Final = 3
"""Judgements in a row that must see the same difference: a source may blink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What was learned of a replica before this run of the agent.

    Attributes:
        fingerprint: what it holds for.
        time: Unix seconds at which it was saved.
        models: state of each part by name, as JSON gave it.
    """

    fingerprint: Mapping[str, str | float]
    time: float
    models: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with what was learned.

    Attributes:
        restore: take this over.
        drop: begin anew.
        why: what is another than it was.
    """

    restore: Saved | None = None
    drop: bool = False
    why: str = ""


NOTHING: Final = Decision()
"""Go on."""


class Retention:
    """Follows what one replica is.

    Args:
        saved: of the run before, if there is anything.
    """

    def __init__(self, saved: Saved | None = None) -> None:
        self._saved = saved
        self._first: float | None = None
        self._known: Fingerprint = {}
        self._settled: Fingerprint | None = None
        self._doubts = 0

    @property
    def pending(self) -> Saved | None:
        """What was saved and is neither restored nor dropped yet."""
        return self._saved

    @property
    def fingerprint(self) -> Fingerprint:
        """What is known of the replica."""
        return self._known

    def decide(self, fingerprint: Fingerprint, *, time: float) -> Decision:
        """Return what to do, now that a replica is as it is."""
        if fingerprint == self._settled:
            return NOTHING
        self._settled = None
        self._first = time if self._first is None else self._first
        saved = self._saved
        changed = differences(self._known if saved is None else saved.fingerprint, fingerprint)
        self._doubts = self._doubts + 1 if changed else 0
        if changed:
            if self._doubts < _SURE:
                return NOTHING
            self._doubts, self._known, self._saved = 0, dict(fingerprint), None
            return Decision(drop=True, why="; ".join(changed))
        self._known = {**self._known, **fingerprint}
        if saved is not None:
            missing = saved.fingerprint.keys() - fingerprint.keys()
            if missing and 0.0 <= time - self._first < PATIENCE:
                return NOTHING
            self._saved = None
            self._known = {**saved.fingerprint, **self._known}
            return Decision(restore=saved)
        self._settled = fingerprint
        return NOTHING
