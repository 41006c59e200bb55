"""`/api/v1/signals`: what autoscalers and routers go by, and 503 where it would not be true."""

import json
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

_ASKED: Final = {"instance": "instance_name", "model": "model_name"}
_AGAIN: Final = {"Retry-After": "5", "Cache-Control": "no-store"}


def no_signals(_time: float) -> Mapping[str, Any]:
    """Return that there are none."""
    return {"replicas": [], "stale": []}


def respond(query: Mapping[str, str], document: Mapping[str, Any]) -> web.Response:
    """Answer with the replicas that are asked for.

    Args:
        query: `instance` and `model`, each the name of one, or neither.
        document: all that is known: `replicas` with signals, and `stale` ones without.

    Returns:
        400 for another parameter, 404 where none is named so, 503 where nothing is known now of
        one that is.
    """
    unknown = [name for name in query if name not in _ASKED]
    if unknown or len(query) != len(set(query)):
        text = "one instance=NAME and one model=NAME can be given, and nothing else\n"
        return web.Response(status=400, text=text)
    fresh, stale = (_of(document[key], query) for key in ("replicas", "stale"))
    if not fresh and not stale and query:
        known = [*document["replicas"], *document["stale"]]
        names = sorted(
            {one["instance_name"] for one in known} | {one["model_name"] for one in known}
        )
        text = f"nothing here is named so; there are: {', '.join(names) or 'no engines'}\n"
        return web.Response(status=404, text=text)
    if not fresh:
        why = "no signal is young enough to be true" if stale else "no engine was seen yet"
        return web.Response(status=503, text=f"{why}\n", headers=_AGAIN)
    body = json.dumps({**document, "replicas": fresh, "stale": stale}, allow_nan=False)
    return web.json_response(text=body + "\n", headers={"Cache-Control": "no-store"})


def _of(replicas: list[Mapping[str, Any]], query: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return the replicas that are asked for."""
    return [
        one for one in replicas if all(one[_ASKED[name]] == value for name, value in query.items())
    ]
