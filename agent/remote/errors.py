"""What a server answers instead of what was asked for, in words that say what to do."""

import json
from http import HTTPStatus
from typing import Final

from agent.lines import one_line
from agent.model import InferwatchError, SourceError
from agent.promql.errors import EvaluationError, PromqlError

_SHOWN: Final = 300  # characters of an answer that makes no sense

_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "give credentials: bearer_token or basic_auth",
    HTTPStatus.FORBIDDEN: "these credentials may not ask it",
    HTTPStatus.NOT_FOUND: (
        "is the path right? Mimir has its API under /prometheus, VictoriaMetrics as a cluster "
        "under /select/TENANT/prometheus"
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: "it does not take POST: is it a query API?",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "ask for a shorter time",
    HTTPStatus.TOO_MANY_REQUESTS: "it is asked too much: try again later",
    HTTPStatus.BAD_GATEWAY: "what is behind the proxy does not answer",
    HTTPStatus.SERVICE_UNAVAILABLE: "it is overloaded or starting: try again, or a shorter time",
    HTTPStatus.GATEWAY_TIMEOUT: "it took too long: ask for a shorter time",
}
_TENANT: Final = "no org id"  # Mimir and Cortex without X-Scope-OrgID: 401 with these words


def refusal(url: str, status: int, body: bytes, *, location: str = "") -> InferwatchError:
    """Return what an answer other than 200 means.

    Args:
        url: that was asked, for people.
        status: of HTTP.
        body: as much of it as was read.
        location: where a redirect leads.

    Returns:
        `PromqlError` where the query is wrong, `EvaluationError` where it has no answer,
        `SourceError` where it is the server.
    """
    kind, said = _said(body)
    if kind == "bad_data":
        return PromqlError(f"{url}: {said}")
    if kind == "execution":
        return EvaluationError(f"{url}: {said}")
    if 300 <= status < 400:  # noqa: PLR2004 - of HTTP
        return SourceError(
            f"{url}: it answered {status} and leads to {location or 'nowhere'}: redirects are not "
            "followed, give that address"
        )
    advice = _ADVICE.get(status, "")  # type: ignore[call-overload]
    if _TENANT in said:
        advice = "give the tenant: headers in the configuration, X-Scope-OrgID for Mimir"
    parts = [f"{url}: it answered {status}", said, advice]
    return SourceError("; ".join(part for part in parts if part))


def _said(body: bytes) -> tuple[str, str]:
    """Return the kind of an error and what is said of it; of what is no JSON, its beginning."""
    try:
        found = json.loads(body)
        return str(found.get("errorType", "")), _both_ends(str(found.get("error", "")))
    except (ValueError, AttributeError, RecursionError):
        return "", printable(body[: 4 * _SHOWN].decode("utf-8", "replace"))


def _both_ends(text: str) -> str:
    """Return a message in one line; the cause of one that is long stands at its end."""
    line = one_line(text)
    if len(line) <= 2 * _SHOWN:
        return line
    return f"{line[:_SHOWN]}…{line[-_SHOWN:]}"


def printable(text: str) -> str:
    """Return the beginning of a text in one line."""
    line = one_line(text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
