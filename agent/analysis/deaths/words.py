"""What has ended, and how people are told of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.analysis.deaths.causes import Cause
from agent.analysis.deaths.page import Instance, Page

_NONE_OF_ITS_OWN: Final[Mapping[Cause, str]] = {
    Cause.UNKNOWN: "nothing that can be seen from here says why",
    Cause.HUNG: "nothing that can be seen from here says why",
    Cause.START_FAILED: "it never answered, and nothing that can be seen from here says why",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The end of an engine's life, or that it hangs.

    Attributes:
        instance: `engine` and `instance_name`.
        kind: died, hung or failed to start; `explained` where a better reason came late,
            `recovered` where the engine serves again.
        cause: the one that counts.
        place: of what speaks for it, among all that might; the lowest counts.
        since: Unix seconds since when it does not serve.
        told_at: when that was concluded; of a recovery, when it was seen.
        answered_at: when its page was last read; None where it never was.
        served_since: when it began to serve, or its process to run.
        page: the last good one.
        failure: why its page cannot be read.
        how: how its end shows.
        evidence: parts of sentences, the one that decided first.
        gone: its process is not there any more.
        seen: its process was seen on this host before.
        stalled: it answers and does not move.
    """

    instance: Instance
    kind: str
    cause: Cause
    place: float
    since: float
    told_at: float
    answered_at: float | None
    served_since: float | None
    page: Page | None
    failure: str
    how: str
    evidence: tuple[str, ...]
    gone: bool
    stalled: bool
    seen: bool = False

    @property
    def requests(self) -> float | None:
        """Requests that were in the engine, as its last good page says."""
        return None if self.page is None else self.page.requests

    @property
    def phase(self) -> str:
        """Whether it served: `serving`, or `startup` where it never answered."""
        return "startup" if self.kind == "failed to start" else "serving"

    def recovered_at(self, time: float) -> "Ending":
        """Return that it serves again."""
        return replace(self, kind="recovered", told_at=time)

    def as_json(self) -> dict[str, Any]:
        """Return it for machines; what is unknown is null."""
        page = self.page
        return {
            "engine": self.instance[0],
            "instance_name": self.instance[1],
            "kind": self.kind,
            "cause": self.cause.value,
            "phase": self.phase,
            "since_timestamp_seconds": self.since,
            "told_timestamp_seconds": self.told_at,
            "last_answer_timestamp_seconds": self.answered_at,
            "served_since_timestamp_seconds": self.served_since,
            "requests": self.requests,
            "kv_cache_usage_ratio": None if page is None else page.kv_usage,
            "failure": self.failure,
            "evidence": list(self.evidence),
            "sentence": sentence(self),
        }


def sentence(ending: Ending) -> str:
    """Return what has ended, why, and what was seen of it, with numbers."""
    engine, name = ending.instance
    if ending.kind == "recovered":
        seconds = ending.told_at - ending.since
        return f"{engine} {name} serves again after {duration(seconds)}"
    if ending.kind == "explained":
        return f"why {engine} {name} ended is known now: {ending.evidence[0]}"
    why = ending.evidence[0] if ending.evidence else _NONE_OF_ITS_OWN.get(ending.cause, "")
    return f"{engine} {name} {ending.kind}: " + "; ".join([why, *_seen(ending)])


def _seen(ending: Ending) -> Iterator[str]:
    """Yield what was seen of it."""
    yield from ending.evidence[1:3]
    page = ending.page
    if ending.stalled and page is not None:
        stood = duration(ending.told_at - ending.since)
        yield f"it answers, and has made no step for {stood} with {_requests(page)}"
    elif page is not None and ending.answered_at is not None:
        before = duration(max(0.0, ending.since - ending.answered_at))
        yield f"its last good page, {before} before, showed {_load(page)}"
        if ending.cause is Cause.UNKNOWN and not ending.evidence:
            yield "nothing wrong there, so only its log can tell"
        if ending.cause is Cause.UNKNOWN and not ending.evidence and ending.gone and ending.seen:
            yield "how its process ended is told by a unit of systemd, or by Linux from 6.15 on"
    if ending.how:
        yield ending.how
    if ending.failure:
        yield f"asked, it gave: {ending.failure}"
    if ending.served_since is not None and ending.phase == "serving":
        least = "" if page is not None and page.started is not None else "at least "
        yield f"it had run for {least}{duration(max(0.0, ending.since - ending.served_since))}"


def _load(page: Page) -> str:
    """Return what was in the engine."""
    parts = [_requests(page)]
    if page.kv_usage is not None:
        parts.append(f"its KV cache {page.kv_usage:.0%} full")
    return ", ".join(parts)


def _requests(page: Page) -> str:
    """Return how many requests there were."""
    if page.requests is None:
        return "no number of requests"
    running = page.running or 0.0
    waiting = page.requests - running
    return f"{running:.0f} requests running and {waiting:.0f} waiting"


def duration(seconds: float) -> str:
    """Return seconds as people say them: two units at most."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004 - two days
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
