"""The functions of templates: those of Go and those that Prometheus adds."""

import html
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

from agent.alerts.errors import TemplateError
from agent.alerts.template.humanize import (
    humanize,
    humanize_1024,
    humanize_duration,
    humanize_percentage,
    humanize_timestamp,
    parse_duration,
    to_time,
)
from agent.alerts.template.printf import print_line, print_values, printf
from agent.alerts.template.values import Data, Result, kind_of, text, truth


def call_with_data(function: Callable[..., Any], data: Data, arguments: Sequence[Any]) -> Any:
    """Call a function; those marked with `_needs_data` are handed the data first."""
    if function in _NEED_DATA:
        return function(data, *arguments)
    return function(*arguments)


def _query(data: Data, expression: Any) -> list[Result]:
    return sorted(data.query(text(expression)), key=lambda result: sorted(result.labels.items()))


def _external_url(data: Data) -> str:
    return data.external_url


def _path_prefix(data: Data) -> str:
    return urlsplit(data.external_url).path


_NEED_DATA: Final = {_query, _external_url, _path_prefix}


def _first(results: Any) -> Result:
    if not isinstance(results, list) or not results:
        raise TemplateError("first() called on vector with no elements")
    result: Result = results[0]
    return result


def _of_result(result: Any) -> Result:
    if not isinstance(result, Result):
        raise TemplateError(f"wrong type: expected an element of a query, found {kind_of(result)}")
    return result


def _label(name: Any, result: Any) -> str:
    return _of_result(result).labels.get(text(name), "")


def _sort_by_label(name: Any, results: Any) -> list[Result]:
    return sorted(results, key=lambda result: _label(name, result))


def _strip_port(address: Any) -> str:
    match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*)):[^:\[\]]*", text(address))
    return address if match is None else str(match[1] if match[1] is not None else match[2])


def _strip_domain(address: Any) -> str:
    host, _, port = text(address).partition(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = host.partition(".")[0]
    return f"{host}:{port}" if port else host


def _pattern(pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(text(pattern), re.ASCII)
    except re.error as error:
        raise TemplateError(f"error parsing regexp: {error}") from None


def _replace(pattern: Any, replacement: Any, given: Any) -> str:
    def expand(match: re.Match[str]) -> str:
        def group(name: re.Match[str]) -> str:
            key = name[1] or name[2]
            if key is None:
                return "$"
            try:
                return match[int(key) if key.isdigit() else key] or ""
            except (IndexError, KeyError):
                return ""

        return re.sub(r"\$(?:\{(\w+)\}|(\w+)|\$)", group, text(replacement))

    return _pattern(pattern).sub(expand, text(given))


def _title(given: Any) -> str:
    return re.sub(r"(?<![\w'])\w", lambda match: match[0].upper(), text(given))


def _index(container: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(container, Mapping):
            container = container.get(text(key), "")
        elif isinstance(container, list | str) and isinstance(key, int):
            if not 0 <= key < len(container):
                raise TemplateError(f"index out of range: {key}")
            container = container[key]
        else:
            raise TemplateError(f"can't index item of type {kind_of(container)}")
    return container


def _slice(container: Any, *places: int) -> Any:
    start, end = (*places, 0)[0], (*places[1:], len(container))[0]
    if not 0 <= start <= end <= len(container):
        raise TemplateError("index out of range")
    return container[start:end]


def _length(container: Any) -> int:
    if isinstance(container, str):
        return len(container.encode())
    if not isinstance(container, Mapping | list):
        raise TemplateError(f"len of type {kind_of(container)}")
    return len(container)


def _kinds(first: Any, second: Any) -> None:
    if kind_of(first) != kind_of(second):
        raise TemplateError("incompatible types for comparison")


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    for other in others:
        _kinds(first, other)
        if first == other:
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    _kinds(first, second)
    if isinstance(first, bool) or not isinstance(first, int | float | str):
        raise TemplateError("invalid type for comparison")
    return bool(first < second)


def _equal_or_less(first: Any, second: Any) -> bool:
    return _less(first, second) or _equal(first, second)


def _graph(expression: Any, tab: int) -> str:
    return f"/graph?g0.expr={quote_plus(text(expression))}&g0.tab={tab}"


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "and": lambda *_: None,  # evaluated by the renderer, which stops at the first that decides
    "or": lambda *_: None,
    "not": lambda value: not truth(value),
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": _less,
    "le": _equal_or_less,
    "gt": lambda first, second: not _equal_or_less(first, second),
    "ge": lambda first, second: not _less(first, second),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "print": print_values,
    "println": print_line,
    "printf": printf,
    "html": lambda *values: (
        html.escape(print_values(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    ),
    "urlquery": lambda *values: quote_plus(print_values(*values)),
    "query": _query,
    "first": _first,
    "label": _label,
    "value": lambda result: _of_result(result).value,
    "strvalue": lambda result: _label("__value__", result),
    "sortByLabel": _sort_by_label,
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "humanizeTimestamp": humanize_timestamp,
    "toTime": to_time,
    "parseDuration": parse_duration,
    "title": _title,
    "toUpper": lambda value: text(value).upper(),
    "toLower": lambda value: text(value).lower(),
    "match": lambda pattern, value: _pattern(pattern).search(text(value)) is not None,
    "reReplaceAll": _replace,
    "stripPort": _strip_port,
    "stripDomain": _strip_domain,
    "safeHtml": text,
    "graphLink": lambda expression: _graph(expression, 0),
    "tableLink": lambda expression: _graph(expression, 1),
    "externalURL": _external_url,
    "pathPrefix": _path_prefix,
}
"""By the name that a template calls them."""
