"""What a single value of the configuration may be, and how it is said when it is not.

Each class here converts what YAML gave (a scalar) into what the code uses, or raises
`ValueError` with the words that follow "expected …" in the message to the user.
"""

import contextlib
import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import inf, isfinite
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# More digits than any size has: a number may not be larger than a float can hold.
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?) ?(B|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
# nvidia-smi -L; MIG instances of older drivers have slashes.
_DEVICE = re.compile(r"0|[1-9][0-9]{0,3}|(?:GPU|MIG)-[A-Za-z0-9/-]{1,90}")
# YAML takes 3e5, without a point and a sign, for a text.
_NUMBER = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
MAX_PORT = 65535
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST = 253


class Value(Protocol):
    """Converts one scalar."""

    def convert(self, raw: object) -> object:
        """Return the value for the code; raises ValueError with what was expected."""
        ...


@dataclass(frozen=True)
class Duration:
    """A time in seconds, or a number with a unit: 250ms, 1s, 5m, 1h30m, 7d."""

    minimum: float = 0.0
    maximum: float = float("inf")

    def convert(self, raw: object) -> float:
        """Return seconds."""
        expected = f"a duration between {_seconds(self.minimum)} and {_seconds(self.maximum)}"
        if self.maximum == float("inf"):
            expected = f"a duration of at least {_seconds(self.minimum)}"
        seconds = _parse_duration(raw)
        if seconds is None:
            raise ValueError(f"{expected}, such as 500ms, 10s or 1h30m")
        if not self.minimum <= seconds <= self.maximum or not isfinite(seconds):
            raise ValueError(expected)
        return seconds


def _parse_duration(raw: object) -> float | None:
    """Return seconds, or None when this is no duration."""
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return _as_float(raw)
    if not isinstance(raw, str) or not raw:
        return None
    parts = list(_DURATION.finditer(raw))
    if "".join(part.group() for part in parts) != raw:
        return None
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def _as_float(number: float) -> float:
    """Return a number as a float; one that is too large for that is infinite."""
    try:
        return float(number)
    except OverflowError:
        return inf


def _seconds(value: float) -> str:
    """Return seconds as they would be written in the file."""
    return f"{value * 1000:g}ms" if 0 < value < 1 else f"{value:g}s"


@dataclass(frozen=True)
class Size:
    """A number of bytes, or a number with a unit: 512KiB, 16MiB, 2GB."""

    minimum: int = 1

    def convert(self, raw: object) -> int:
        """Return bytes."""
        expected = f"a size of at least {self.minimum} bytes, such as 512KiB, 16MiB or 2GB"
        text = raw if isinstance(raw, str) else ""
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            # Not str(): a number may have more digits than Python is willing to write.
            text = f"{_as_float(raw):.3f}"
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ValueError(expected)
        size = int(float(match[1]) * _BYTES[match[2] or "B"])
        if size < self.minimum:
            raise ValueError(expected)
        return size


@dataclass(frozen=True)
class Count:
    """A whole number of things."""

    minimum: int = 1
    maximum: int = 10_000

    def convert(self, raw: object) -> int:
        """Return the number."""
        number = raw if isinstance(raw, int) and not isinstance(raw, bool) else None
        if number is None or not self.minimum <= number <= self.maximum:
            raise ValueError(f"a whole number from {self.minimum} to {self.maximum}")
        return number


@dataclass(frozen=True)
class Amount:
    """A number over 0: an amount of money, or a rate."""

    maximum: float = 1e12

    def convert(self, raw: object) -> float:
        """Return it."""
        expected = f"a number over 0, at most {self.maximum:g}"
        number = 0.0
        if isinstance(raw, str) and _NUMBER.fullmatch(raw):
            number = float(raw)
        elif isinstance(raw, int | float) and not isinstance(raw, bool):
            number = _as_float(raw)
        if not 0.0 < number <= self.maximum:
            raise ValueError(expected)
        return number


@dataclass(frozen=True)
class Share:
    """A part of a whole, or a multiple of it: 0.8 or 80%."""

    minimum: float = 0.0
    maximum: float = 1.0

    def convert(self, raw: object) -> float:
        """Return it, 1 for the whole."""
        number = float("nan")
        if isinstance(raw, str) and raw.endswith("%"):
            with contextlib.suppress(ValueError):
                number = float(raw[:-1]) / 100.0
        elif isinstance(raw, int | float) and not isinstance(raw, bool):
            number = _as_float(raw)
        if not self.minimum <= number <= self.maximum:
            raise ValueError(
                f"a share from {self.minimum:g} to {self.maximum:g}, such as 0.8 or 80%"
            )
        return number


@dataclass(frozen=True)
class Name:
    """A short name that can be a label value, a part of a URL and a file name."""

    def convert(self, raw: object) -> str:
        """Return the name."""
        if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", raw):
            raise ValueError(
                "a name of letters, digits, '.', '_' and '-', at most 63 long, "
                "that begins with a letter or digit"
            )
        return raw


@dataclass(frozen=True)
class EngineName(Name):
    """The name of an engine; whoever reads settings says which there are."""


@dataclass(frozen=True)
class Device:
    """A GPU by the index at which the driver lists it, or a GPU or MIG instance by its UUID."""

    def convert(self, raw: object) -> str:
        """Return the index as it is written, or the UUID."""
        text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
        if not isinstance(text, str) or not _DEVICE.fullmatch(text):
            raise ValueError("an index such as 0, or an identifier that begins with GPU- or MIG-")
        return text


@dataclass(frozen=True)
class LabelName:
    """The name of a label that a user may set."""

    def convert(self, raw: object) -> str:
        """Return the name."""
        if not isinstance(raw, str) or not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}", raw):
            raise ValueError("a label name of letters, digits and '_'")
        if raw.startswith("__") or raw in ("job", "instance", "alertname"):
            raise ValueError("a label name other than job, instance, alertname and __…")
        return raw


@dataclass(frozen=True)
class Text:
    """Any text that is not empty."""

    def convert(self, raw: object) -> str:
        """Return the text."""
        if not isinstance(raw, str) or not raw:
            raise ValueError("a text that is not empty")
        return raw


@dataclass(frozen=True)
class Url:
    """An address of a server over HTTP, without user, query or fragment."""

    def convert(self, raw: object) -> str:
        """Return the address without a slash at its end."""
        expected = "an address such as http://127.0.0.1:8000 or https://[::1]:8443/base"
        if not isinstance(raw, str):
            raise ValueError(expected)  # noqa: TRY004 - every refusal is a ValueError
        try:
            parts = urlsplit(raw)
            port = parts.port
        except ValueError:
            raise ValueError(expected) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError(expected)
        if "@" in parts.netloc:
            raise ValueError("an address without user and password: use basic_auth or bearer_token")
        if any(character.isspace() or not character.isprintable() for character in raw):
            raise ValueError(f"{expected}, without spaces")
        if parts.query or parts.fragment:
            raise ValueError(expected + ", without '?' and '#'")
        return _without_slash(parts)


def _without_slash(parts: SplitResult) -> str:
    """Return the address without a slash at its end."""
    return parts._replace(path=parts.path.rstrip("/")).geturl()


@dataclass(frozen=True)
class AbsolutePath:
    """A path that begins with a slash, so that it does not depend on who starts the agent."""

    def convert(self, raw: object) -> Path:
        """Return the path; it need not exist."""
        if not isinstance(raw, str) or not raw.startswith("/") or "\0" in raw:
            raise ValueError("an absolute path")
        return Path(raw)


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on.

    Attributes:
        host: an IP address or host name; empty for every address of the host, IPv4 and IPv6.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it is written in the file."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Where a browser on this host finds it."""
        everywhere = self.host in ("", "0.0.0.0", "::")
        return f"http://{Listen('localhost' if everywhere else self.host, self.port)}"


@dataclass(frozen=True)
class ListenAddress:
    """`HOST:PORT`, `[IPV6]:PORT` or `:PORT` for every address of the host."""

    def convert(self, raw: object) -> Listen:
        """Return host and port."""
        expected = f"an address such as :9745, 127.0.0.1:9745 or [::1]:9745, port 1 to {MAX_PORT}"
        text = raw if isinstance(raw, str) else ""
        match = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\[\]:\s]*)):([0-9]{1,5})", text)
        if match is None or not 0 < int(match[3]) <= MAX_PORT or not _is_ipv6(match[1] or "::"):
            raise ValueError(expected)
        if match[2] and not _is_host(match[2]):
            raise ValueError(expected)
        return Listen(match[1] or match[2] or "", int(match[3]))


def _is_host(text: str) -> bool:
    """Return whether this is an IPv4 address, or else a name that is surely none."""
    if text.replace(".", "").isdecimal():
        try:
            IPv4Address(text)
        except ValueError:
            return False
        return True
    labels = text.removesuffix(".").split(".")
    return len(text) <= _MAX_HOST and all(_HOST_LABEL.fullmatch(label) for label in labels)


def _is_ipv6(text: str) -> bool:
    """Return whether this is an IPv6 address, perhaps with the interface that it is of."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


@lru_cache(256)
def is_loopback(address: str | None) -> bool:
    """Return whether an IP address, in any notation, is one of this host alone."""
    try:
        parsed = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def names_this_host(host: str | None) -> bool:
    """Return whether the host of an address is surely this one: by name or on loopback."""
    return host == "localhost" or is_loopback(host)
