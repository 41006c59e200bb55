"""Performance data and ranges as check plugins for Nagios, Icinga and their like write them.

After the development guidelines of the Monitoring Plugins: `'label'=value[unit];warn;crit;min;max`,
`U` for a value that is not known, and ranges `[@]start:end` outside of which a value is a problem.
"""

import math
import re
from dataclasses import dataclass
from typing import Final, Self

_NUMBER: Final = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_RANGE: Final = re.compile(rf"(@?)(?:(~|{_NUMBER})?:)?({_NUMBER})?")
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Where a value should be; both ends belong to it.

    Attributes:
        start: the least.
        end: the most.
        inside: a problem is what is within, not what is outside.
        text: as it was written.
    """

    start: float = 0.0
    end: float = math.inf
    inside: bool = False
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return a range: `10`, `10:`, `~:10`, `10:20`, `@10:20`.

        Raises:
            ValueError: it is none; the message says what was expected.
        """
        match = _RANGE.fullmatch(text)
        if match is None or not text.removeprefix("@"):
            raise ValueError("a range such as 10, 10:, ~:10, 10:20 or @10:20")
        start = -math.inf if match[2] == "~" else float(match[2] or 0.0)
        end = math.inf if match[3] is None else float(match[3])
        if start > end:
            raise ValueError("a range whose end is not below its start")
        return cls(start=start, end=end, inside=bool(match[1]), text=text)

    def violated(self, value: float) -> bool:
        """Return whether a value is a problem."""
        return (self.start <= value <= self.end) == self.inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Datum:
    """One value.

    Attributes:
        label: what it is.
        value: None for not known.
        unit: `%`, `s`, `B`, or none.
        warning: where it should be, None for anywhere.
        critical: likewise.
        least: what it cannot be below.
        most: what it cannot be above.
    """

    label: str
    value: float | None
    unit: str = ""
    warning: Range | None = None
    critical: Range | None = None
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        """Return it as plugins write it."""
        known = self.value is not None and math.isfinite(self.value)
        value = f"{_shown(self.value)}{self.unit}" if known else "U"
        further = [
            "" if self.warning is None else self.warning.text,
            "" if self.critical is None else self.critical.text,
            _shown(self.least),
            _shown(self.most),
        ]
        return ";".join([f"{_label(self.label)}={value}", *further]).rstrip(";")


def plain(text: str) -> str:
    """Return a text that can stand before performance data: in one line, and without its sign."""
    return " ".join(text.replace("|", "/").split())


def _label(text: str) -> str:
    """Return a label, between quotes where it needs them."""
    label = plain(text).replace("=", "_").replace("'", "''")
    return label if re.fullmatch(r"[\w./:-]+", label, re.ASCII) else f"'{label}'"


def _shown(value: float | None) -> str:
    """Return a number without an exponent, which not everyone reads; nothing for None."""
    if value is None:
        return ""
    text = f"{value:.{_DIGITS}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
