"""What is asked for: a time, some replicas, something to compare with, and a form.

Little is imported here: the agent reads questions too, and has others make the reports.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.config.values import Duration
from agent.model import InferwatchError
from agent.moment import unix_seconds

FORMATS: Final = ("console", "markdown", "csv", "json", "html")
_LONGEST: Final = 500
_DURATION: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:s|m|h|d)(?:[0-9.]+(?:s|m|h))*")


class AskedError(InferwatchError):
    """What is asked for makes no sense; the message says what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question, as it was written; empty for what was not said.

    Attributes:
        start: a time, or how long before the end, such as `7d`; a day before it.
        end: a time, or how long before the newest there is; that itself.
        instance: name of an instance.
        model: name of a model.
        against: name of another instance or model, START/END, or how much earlier, such as `7d`.
        form: one of `FORMATS`.
    """

    start: str = ""
    end: str = ""
    instance: str = ""
    model: str = ""
    against: str = ""
    form: str = "console"

    def check(self) -> None:
        """Refuse what makes no sense whatever the history holds.

        Raises:
            AskedError: that.
        """
        texts = (self.start, self.end, self.instance, self.model, self.against)
        if any(len(text) > _LONGEST or not text.isprintable() for text in texts):
            raise AskedError("expected printable text of at most 500 characters")
        if self.form not in FORMATS:
            raise AskedError(f"format: expected one of {', '.join(FORMATS)}, got {self.form!r}")
        for name, text in (("from", self.start), ("to", self.end)):
            if text:
                moment(text, 0.0, name)
        other = earlier_or_span(self.against)
        if self.against and other is None and not (self.instance or self.model):
            raise AskedError(
                "against another engine, say with --instance or --model which is to be compared; "
                "against another time, expected START/END or how much earlier, such as 7d"
            )


def moment(text: str, end: float, name: str) -> float:
    """Return Unix seconds of a time or of how long before the end.

    Raises:
        AskedError: it is neither.
    """
    if _DURATION.fullmatch(text):
        return end - _seconds(text)
    try:
        return unix_seconds(text)
    except ValueError:
        raise AskedError(
            f"{name}: expected a time such as 2026-11-21T08:00Z, Unix seconds, or how long before "
            f"the end, such as 7d; got {text!r}"
        ) from None


def _seconds(text: str) -> float:
    """Return a length of time.

    Raises:
        AskedError: it is none.
    """
    try:
        return Duration(1.0).convert(text)
    except ValueError as error:
        raise AskedError(f"expected {error}") from None


def earlier_or_span(text: str) -> float | tuple[float, float] | None:
    """Return how much earlier, or start and end; None for what can only be a name.

    Raises:
        AskedError: it looks like a time and makes no sense.
    """
    if _DURATION.fullmatch(text):
        return _seconds(text)
    start, slash, end = text.partition("/")
    if not slash:
        return None
    try:
        ends = moment(start, 0.0, "against"), moment(end, 0.0, "against")
    except AskedError:
        return None  # names of models have slashes too
    if not ends[0] < ends[1] or _DURATION.fullmatch(start) or _DURATION.fullmatch(end):
        raise AskedError("against: expected START/END, two times of which the first is earlier")
    return ends


def from_query(query: Mapping[str, str]) -> Asked:
    """Return what the parameters of an address ask for.

    Raises:
        AskedError: a parameter is not known, or makes no sense.
    """
    names = {
        "from": "start", "since": "start", "to": "end", "instance": "instance", "model": "model",
        "against": "against", "format": "form",
    }  # fmt: skip
    unknown = sorted(set(query) - set(names))
    if unknown:
        raise AskedError(f"unknown: {', '.join(unknown)}; expected {', '.join(names)}")
    if "from" in query and "since" in query:
        raise AskedError("from and since are the same: expected one of them")
    asked = Asked(**{"form": "json", **{names[key]: value for key, value in query.items()}})
    asked.check()
    return asked
