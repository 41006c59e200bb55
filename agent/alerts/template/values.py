"""What templates compute with, and how Go prints and compares it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from agent.alerts.errors import TemplateError


@dataclass(frozen=True, slots=True)
class Result:
    """One element of what `query` gives."""

    labels: Mapping[str, str]
    value: float


def _no_query(_text: str) -> Sequence[Result]:
    raise TemplateError("there is nothing to query here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a template is rendered with.

    Attributes:
        labels: of the element of the expression's result.
        value: of that element.
        external_labels: of this host.
        external_url: where the agent's own page is.
        query: evaluates an expression at the time of the rule.
    """

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    query: Callable[[str], Sequence[Result]] = _no_query


FIELDS: Final[dict[str, Callable[[Data], Any]]] = {
    "Labels": lambda data: data.labels,
    "Value": lambda data: data.value,
    "ExternalLabels": lambda data: data.external_labels,
    "ExternalURL": lambda data: data.external_url,
}
"""Fields of the dot at the top of a template."""

_RESULT_FIELDS: Final[dict[str, Callable[[Result], Any]]] = {
    "Labels": lambda result: result.labels,
    "Value": lambda result: result.value,
}


def field_of(value: Any, name: str) -> Any:
    """Return a field of a value; a label that is not there is empty."""
    if isinstance(value, Mapping):
        return value.get(name, "")
    if isinstance(value, Data) and name in FIELDS:
        return FIELDS[name](value)
    if isinstance(value, Result) and name in _RESULT_FIELDS:
        return _RESULT_FIELDS[name](value)
    raise TemplateError(f"can't evaluate field {name} in type {kind_of(value)}")


_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (bool, "bool"),  # before int, which it is too
    (int, "int"),
    (float, "float64"),
    (str, "string"),
    (Mapping, "map[string]string"),
    (type(None), "<nil>"),
)


def kind_of(value: Any) -> str:
    """Return the name that Go has for the type of a value."""
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "template.value"


def truth(value: Any) -> bool:
    """Return whether Go takes a value for true: not zero, not empty."""
    if isinstance(value, float):
        return value != 0 or math.isnan(value)
    return bool(value) or isinstance(value, Result | Data)


def shown(value: Any) -> str:
    """Return a value as `{{ value }}` prints it."""
    text = str(value)
    match value:
        case bool():
            text = text.lower()
        case float():
            text = shown_float(value)
        case None:
            text = "<no value>"
        case Mapping():
            pairs = sorted(value.items())
            text = "map[" + " ".join(f"{name}:{shown(item)}" for name, item in pairs) + "]"
        case Result():
            text = f"{{{shown(value.labels)} {shown(value.value)}}}"
        case list() | tuple():
            text = "[" + " ".join(map(shown, value)) + "]"
    return text


_LARGE: Final = 6
_SMALL: Final = -4


def special(value: float) -> str | None:
    """Return the name of a number that has no digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return None


def shown_float(value: float) -> str:
    """Return a number in the fewest digits that tell it apart, as Go's `%v` and `%g` do."""
    name = special(value)
    if name is not None:
        return name
    sign, parts, power = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, parts))
    power = int(power)
    exponent = len(digits) - 1 + power
    lead = "-" if sign else ""
    if value and (exponent < _SMALL or exponent >= _LARGE):
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{lead}{digits[0]}{rest}e{exponent:+03d}"
    if not value:
        return f"{lead}0"
    return f"{lead}{Decimal((0, parts, power)):f}"


def number(value: Any) -> float:
    """Return what a function of numbers was given as a float; a text is parsed.

    Raises:
        TemplateError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TemplateError(f"can't convert {kind_of(value)} to float")
    try:
        if isinstance(value, str) and (value.strip() != value or not value):
            raise ValueError  # noqa: TRY301 - Go allows no blanks where Python does
        return float(value)
    except ValueError:
        raise TemplateError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


def text(value: Any) -> str:
    """Return what a function of texts was given.

    Raises:
        TemplateError: it is no text.
    """
    if not isinstance(value, str):
        raise TemplateError(f"wrong type: expected string, found {kind_of(value)}")
    return value
