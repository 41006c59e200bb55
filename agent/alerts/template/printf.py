"""Go's `print` and `printf` for the values that templates have."""

import re
from typing import Any, Final

from agent.alerts.errors import TemplateError
from agent.alerts.template.values import kind_of, shown, shown_float, special

_VERB: Final = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>[0-9]{1,4})?(?:\.(?P<precision>[0-9]{0,4}))?(?P<verb>.)",
    re.DOTALL,
)


def print_values(*values: Any) -> str:
    """Return values one after another; a blank stands between two that are no texts."""
    out: list[str] = []
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            out.append(" ")
        out.append(shown(value))
    return "".join(out)


def print_line(*values: Any) -> str:
    """Return values with blanks between them and an end of line."""
    return " ".join(map(shown, values)) + "\n"


def printf(*values: Any) -> str:
    """Return a text with values put in the places of verbs."""
    if not values or not isinstance(values[0], str):
        raise TemplateError("printf needs a format")
    pattern, rest = values[0], list(values[1:])
    used = 0

    def formatted(match: re.Match[str]) -> str:
        nonlocal used
        verb = match["verb"]
        if verb == "%":
            return "%"
        if verb == "*":
            raise TemplateError("printf with '*' is not supported")
        used += 1
        if used > len(rest):
            return f"%!{verb}(MISSING)"
        return _format(match, rest[used - 1])

    text = _VERB.sub(formatted, pattern)
    if used < len(rest):
        extra = ", ".join(f"{kind_of(value)}={shown(value)}" for value in rest[used:])
        text += f"%!(EXTRA {extra})"
    return text


def _format(match: re.Match[str], value: Any) -> str:
    """Return one value as its verb asks."""
    verb, flags = match["verb"], match["flags"]
    text = _convert(match, value)
    if text is None:
        return f"%!{verb}({kind_of(value)}={shown(value)})"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    signed = is_number and verb in "vdfFeEgG"
    if signed and not text.startswith(("-", "+")):
        text = ("+" if "+" in flags else " " if " " in flags else "") + text
    elif signed and text.startswith("+") and "+" not in flags:
        text = text if verb == "v" or special(float(value)) else text[1:]
    width = int(match["width"] or 0)
    if "-" in flags:
        return text.ljust(width)
    finite = not (isinstance(value, float) and special(value))
    if "0" in flags and is_number and finite:
        sign = text[0] if text[:1] in ("+", "-", " ") else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def _convert(match: re.Match[str], value: Any) -> str | None:
    """Return the value without its width, None where the verb is not for such a value."""
    verb, given = match["verb"], match["precision"]
    precision = None if given is None else int(given or 0)
    if verb == "T":
        return kind_of(value)
    if verb == "v":
        if isinstance(value, float) and precision is not None:
            return special(value) or f"{value:.{precision or 1}g}"
        return shown(value)
    text: str | None = shown(value) if verb == "s" else None
    match value:
        case bool():
            text = shown(value) if verb == "t" else None
        case float():
            text = _float(verb, precision, value)
        case int():
            text = _int(verb, value)
        case str():
            text = _text(verb, precision, value)
    return text


def _float(verb: str, precision: int | None, value: float) -> str | None:
    """Return a float for one of its verbs."""
    if verb not in "feEgGF":
        return None
    name = special(value)
    if name is not None:
        return name
    if verb in "gG" and precision is None:
        text = shown_float(value)
        return text.upper() if verb == "G" else text
    if verb in "gG" and precision == 0:
        precision = 1
    return f"{value:.{6 if precision is None else precision}{verb}}"


def _int(verb: str, value: int) -> str | None:
    """Return an integer for one of its verbs."""
    if verb == "c":
        return chr(value)
    return format(value, verb) if verb in "dxXob" else None


def _text(verb: str, precision: int | None, value: str) -> str | None:
    """Return a text for one of its verbs."""
    value = value if precision is None else value[:precision]
    match verb:
        case "s":
            return value
        case "q":
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'
        case "x":
            return value.encode().hex()
        case "X":
            return value.encode().hex().upper()
    return None
