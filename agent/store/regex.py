"""Regular expressions as Prometheus reads them, in the syntax of RE2, for Python's `re`.

The languages differ in details that real rules use: `(?i)` in the middle of a pattern, POSIX
classes, `$` before a newline. What RE2 refuses (look-around, back-references) is refused here
too, so that a rule that loads here also loads there. `re` backtracks where RE2 does not: a
pattern such as `(a+)+b` may take long on a long label.
"""

import re
from typing import Final

_POSIX: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z-]*)([:)])")
_NAME: Final = re.compile(r"\(\?P?<(\w+)>")
_REPEAT: Final = re.compile(r"\{\d+(?:,\d*)?\}")
_HEX: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_TAKEN_FLAGS: Final = frozenset("is-")
_KNOWN_ESCAPES: Final = frozenset("AbBdDsSwWafnrtvx")


def compile_re2(pattern: str) -> re.Pattern[str]:
    """Compile a pattern; `.` takes newlines and classes are ASCII, as in Prometheus.

    Raises:
        re.error: it is none, or RE2 has no such thing, or `re` has not.
    """
    try:
        return re.compile(_Translation(pattern).run(), re.ASCII | re.DOTALL)
    except (OverflowError, RecursionError) as error:
        raise re.error("too large", pattern) from error


class _Translation:
    """One walk through a pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.place = 0
        self.out: list[str] = []
        # For each open group, the flags that were set within it.
        self.groups: list[list[str]] = [[]]

    def run(self) -> str:
        """Return the pattern in the syntax of `re`."""
        while self.place < len(self.pattern):
            self._step(self.pattern[self.place])
        self.out.append(")" * len(self.groups[0]))
        if len(self.groups) > 1:
            raise re.error("missing )", self.pattern)
        return "".join(self.out)

    def _emit(self, text: str, length: int = 1) -> None:
        self.out.append(text)
        self.place += length

    def _step(self, char: str) -> None:
        if char == "\\":
            self._escape()
        elif char == "[":
            self._class()
        elif char == "(":
            self._open()
        elif char == ")":
            if len(self.groups) == 1:
                raise re.error("unexpected )", self.pattern, self.place)
            self._emit(")" * (len(self.groups.pop()) + 1))
        elif char == "|":
            flags = self.groups[-1]
            self._emit(")" * len(flags) + "|" + "".join(f"(?{flag}:" for flag in flags))
        elif char == "$":
            self._emit(r"\Z")
        elif char in "*+?{":
            self._repeat(char)
        else:
            self._emit(char)

    def _repeat(self, char: str) -> None:
        found = _REPEAT.match(self.pattern, self.place)
        if char == "{" and found is None:
            self._emit(r"\{")
            return
        length = len(found.group()) if found else 1
        if self.pattern[self.place + length : self.place + length + 1] == "+":
            raise re.error("invalid nested repetition operator", self.pattern, self.place)
        self._emit(self.pattern[self.place : self.place + length], length)

    def _escape(self) -> None:
        following = self.pattern[self.place + 1 : self.place + 2]
        if following == "Q":
            end = self.pattern.find(r"\E", self.place)
            end = len(self.pattern) if end < 0 else end
            self._emit(re.escape(self.pattern[self.place + 2 : end]), end + 2 - self.place)
        elif following == "z":
            self._emit(r"\Z", 2)
        else:
            self._emit(*self._character())

    def _character(self) -> tuple[str, int]:
        """Return an escape that stands for characters, and its length in the pattern."""
        following = self.pattern[self.place + 1 : self.place + 2]
        code = _HEX.match(self.pattern, self.place)
        if code is not None:
            return re.escape(chr(int(code[1], 16))), len(code.group())
        if following.isascii() and following.isalnum() and following not in _KNOWN_ESCAPES:
            raise re.error(rf"\{following} is not supported", self.pattern, self.place)
        return self.pattern[self.place : self.place + 2], 2

    def _class(self) -> None:
        self._emit("[")
        if self.pattern.startswith("^", self.place):
            self._emit("^")
        first = True
        while first or not self.pattern.startswith("]", self.place):
            char = self.pattern[self.place : self.place + 1]
            if not char:
                raise re.error("missing ]", self.pattern)
            posix = re.match(r"\[:(\^?)(\w+):\]", self.pattern[self.place :])
            if posix is not None and posix[2] in _POSIX and not posix[1]:
                self._emit(_POSIX[posix[2]], len(posix.group()))
            elif char == "\\":
                self._emit(*self._character())
            else:
                # What `re` reads, or will read, as an operation on sets is a character here.
                self._emit("\\" + char if char in "[]&~|" else char)
            first = False
        self._emit("]")

    def _open(self) -> None:
        named = _NAME.match(self.pattern, self.place)
        flags = _FLAGS.match(self.pattern, self.place)
        if named is not None:
            self.groups.append([])
            self._emit(f"(?P<{named[1]}>", len(named.group()))
        elif flags is None and self.pattern.startswith("(?", self.place):
            raise re.error("invalid or unsupported Perl syntax", self.pattern, self.place)
        elif flags is None:
            self.groups.append([])
            self._emit("(")
        elif not _TAKEN_FLAGS.issuperset(flags[1]):
            raise re.error(f"flags {flags[1]} are not supported", self.pattern, self.place)
        elif flags[2] == ":":
            self.groups.append([])
            self._emit(flags.group(), len(flags.group()))
        else:
            # `re` takes flags only where they open a group of their own.
            self.groups[-1].append(flags[1])
            self._emit(f"(?{flags[1]}:", len(flags.group()))
