"""The bound of a histogram's bucket, written in the one way that rules can rely on."""

from decimal import Decimal
from math import isinf, isnan

_EXPONENTS = range(-4, 6)
"""Decimal exponents of numbers that are written out; see `strconv.FormatFloat` of Go, 'g'."""


def canonical(le: str) -> str:
    """Return a bound as Prometheus 3 stores it, whoever exposes it: `1` and `1.00` as `1.0`.

    So `le="1.0"` in a rule means the same to the agent, to Prometheus 3 that scrapes the engine,
    and to any Prometheus that scrapes the agent. What is no number stays as it is.
    """
    try:
        bound = float(le)
    except ValueError:
        return le
    if isnan(bound) or "_" in le or le.strip() != le:
        return le
    if isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    sign, digits, _exponent = Decimal(repr(bound)).normalize().as_tuple()
    exponent = Decimal(repr(bound)).adjusted() if bound else 0
    if exponent in _EXPONENTS:
        return repr(bound)
    first, rest = digits[0], "".join(map(str, digits[1:]))
    mantissa = f"{'-' * sign}{first}{'.' * bool(rest)}{rest}"
    return f"{mantissa}e{exponent:+03d}"
