"""What the page says of the engines."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from exporters.web.markup import (
    Tile,
    element,
    escaped,
    heading,
    items,
    link,
    paragraph,
    term,
    tiles,
)
from exporters.web.numbers import between, count, days, lasted, money, quick, whole
from exporters.web.seen import JSON, Seen
from exporters.web.spark import sparks
from exporters.web.verdicts import Mood, verdict_words

_BINDING: Final = {
    "inter_token": "the target between tokens binds",
    "time_to_first_token": "the target of the first token binds",
    "kv_memory": "the KV cache binds",
    "sequence_limit": "the batch limit binds",
    "token_budget": "the token budget binds",
    "stability": "the engine's own speed binds",
}
# Their sentences say how long, or nothing that was measured over a time.
_NO_SPAN: Final = frozenset({"idle", "unknown"})
_UNKNOWN_CAPACITY: Final = (
    "Capacity is learned from the traffic and looked at anew every 15 s. It needs some minutes in "
    "which the engine is busy and the load goes up and down; an idle engine teaches nothing."
)


def engines(seen: Seen) -> Iterator[str]:
    """Yield the section about engines, an engine at a time."""
    yield "<section>" + heading(2, "Engines", anchor="engines")
    known = seen.instances()
    if not known:
        yield _none(seen)
    for engine, name in known:
        yield _engine(seen, engine, name)
    yield "</section>"


def _none(seen: Seen) -> str:
    """Return what to do where there is no engine."""
    if seen.time is None:
        return paragraph("Not looked yet.", "soft")
    return paragraph("No engine was found on this host.") + items(map(escaped, seen.looked_for))


def _engine(seen: Seen, engine: str, name: str) -> str:
    """Return what is known of an engine."""
    replicas = [
        one for one in seen.replicas() if (one["engine"], one["instance_name"]) == (engine, name)
    ]
    source = seen.source(f"engine/{name}")
    body = [heading(3, name), element("span", {"class": "kind"}, escaped(engine))]
    if seen.is_up(engine, name) is False:
        why = source.detail if source is not None else ""
        body.append(element("p", {"class": "verdict bad"}, "<b>down</b> its page cannot be read"))
        body.append(paragraph(why, "detail"))
        body.append(paragraph(_death(seen, engine, name), "detail"))
    elif not replicas:
        body.append(paragraph("It was found; nothing is known of it yet.", "soft"))
    body += (_replica(seen, one, several=len(replicas) > 1) for one in replicas)
    return element("article", {}, *body, _links(seen, name))


def _death(seen: Seen, engine: str, name: str) -> str:
    """Return why an engine ended, if it was explained."""
    deaths = [
        one
        for one in seen.engines.get("deaths", ())
        if (one["engine"], one["instance_name"]) == (engine, name) and one["kind"] != "recovered"
    ]
    return str(deaths[0]["sentence"]) if deaths else ""


def _links(seen: Seen, name: str) -> str:
    """Return where more is told."""
    found = [link("/api/v1/engines", "all that is concluded, as JSON")]
    if name in seen.pages:
        address = f"/metrics/engine/{quote(name, safe='')}"
        found.insert(0, link(address, "the engine's own metrics"))
    return element("p", {"class": "links"}, " · ".join(found))


def _replica(seen: Seen, told: JSON, *, several: bool) -> str:
    """Return what is known of one model at one rank."""
    verdict = told["verdict"]
    words, mood = verdict_words(verdict["cause"])
    carried = _of(seen.capacity.get("replicas", ()), told)
    title = f"model {told['model_name']}" if told["model_name"] else "model not named"
    if several or told["rank"] not in ("", "0"):
        title += f", rank {told['rank']}"
    since = ""
    if seen.time is not None and verdict["since"] is not None:
        since = f" for {lasted(seen.time - verdict['since'])}"
    advice = verdict["suggestion"]
    parts = [
        element("p", {"class": "model"}, escaped(title)),
        element(
            "p",
            {"class": f"verdict {mood}"},
            element("b", {}, term("verdict", words)),
            escaped(since),
        ),
        paragraph(_sentence(verdict["sentence"]) + _span(verdict), "detail"),
        element("p", {"class": "advice"}, "<b>What would help:</b> ", escaped(advice))
        if advice
        else "",
        tiles(_tiles(told, carried)),
        sparks(seen, told),
    ]
    if carried is not None and not carried["identifiable"]:
        parts.append(paragraph(_why_no_capacity(carried), "soft"))
    parts.append(element("h4", {}, term("forecast", "What is foreseen")))
    parts.append(items(map(escaped, _foreseen(seen, told)), "foreseen"))
    return element("div", {"class": "replica"}, *parts)


def _sentence(text: str) -> str:
    """Return a clause as a sentence."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _span(verdict: JSON) -> str:
    """Return which time the numbers of a verdict are of: it is not the minute of the tiles."""
    seconds = verdict["numbers"].get("span_seconds")
    if seconds is None or verdict["cause"] in _NO_SPAN:
        return ""
    return f" Numbers of the last {lasted(seconds)}."


def _of(found: "list[JSON] | tuple[()]", told: JSON) -> JSON | None:
    """Return what another document says of the same replica."""
    keys = ("engine", "instance_name", "model_name", "rank")
    return next((one for one in found if all(one[key] == told[key] for key in keys)), None)


def _why_no_capacity(carried: JSON) -> str:
    """Return why the capacity is not known, and how long that may take."""
    why = carried["not_identifiable_because"] or "nothing was seen yet"
    return f"Capacity is not known yet: {why}. {_UNKNOWN_CAPACITY}"


def _tiles(told: JSON, carried: JSON | None) -> Iterator[Tile]:
    """Yield the numbers that are looked for first."""
    numbers = told["verdict"]["numbers"]
    running, waiting = numbers.get("requests_running"), numbers.get("requests_waiting")
    most = numbers.get("max_num_seqs")
    yield Tile(
        name="requests running",
        value="" if running is None else count(round(running, 1)),
        more="; ".join(
            [
                *([] if waiting is None else [f"{count(round(waiting, 1))} waiting"]),
                *([] if most is None else [f"{count(most)} at most"]),
            ]
        ),
        term="batch",
    )
    for name, key, anchor in (
        ("time to first token, p95", "time_to_first_token", "first-token"),
        ("inter-token latency, p95", "inter_token", "inter-token"),
    ):
        value = _p95(told, key)
        yield Tile(
            name=name,
            value="" if value is None else quick(value),
            more="" if value is None else "of the last minute",
            term=anchor,
            unknown="no requests",
        )
    usage, tokens = numbers.get("kv_cache_usage_ratio"), numbers.get("kv_cache_capacity_tokens")
    yield Tile(
        name="KV cache used",
        value="" if usage is None else whole(usage),
        more="" if tokens is None else f"of {count(tokens)} tokens",
        term="kv-cache",
    )
    if carried is not None:
        yield from _room(carried)


def _p95(told: JSON, key: str) -> float | None:
    """Return a percentile of the last minute, None where there was no request."""
    recent = (told["latency"] or {}).get("recent") or {}
    found = recent.get(f"{key}_seconds") or {}
    value: float | None = found.get("p95")
    return value


def _room(carried: JSON) -> Iterator[Tile]:
    """Yield what is asked, what can be carried, what is left and what it costs."""
    able, declared = carried["capacity_tokens_per_minute"], carried["declared_tokens_per_minute"]
    asked = (carried["demand_tokens_per_minute"] or {}).get("total")
    requests = carried["demand_requests_per_minute"]
    yield Tile(
        name="demand, tokens a minute",
        value="" if asked is None else count(asked),
        more="" if requests is None else f"{count(round(requests, 1))} requests a minute",
        term="demand",
    )
    if able is None and declared is not None:
        yield Tile(
            name="capacity, tokens a minute",
            value=count(declared),
            more="as the configuration declares it",
            term="capacity",
        )
    else:
        binds = _BINDING.get(carried["binding_limit"] or "", "")
        yield Tile(
            name="capacity, tokens a minute",
            value="" if able is None else count(able["estimate"]),
            more=""
            if able is None
            else f"with 90 %: {count(able['low'])} to {count(able['high'])}; {binds}",
            term="capacity",
            unknown="not known yet",
        )
    left, ratio = carried["headroom_tokens_per_minute"], carried["headroom_ratio"]
    yield Tile(
        name="headroom",
        value="" if ratio is None else whole(ratio),
        more="" if left is None else f"{count(left)} tokens a minute",
        term="headroom",
        unknown="not known yet",
    )
    cost = carried["cost"]
    if cost["cost_per_hour"] is not None:
        million = cost["cost_per_million_tokens_now"]
        yield Tile(
            name="cost",
            value=f"{money(cost['cost_per_hour'])} {cost['currency']} an hour",
            more="" if million is None else f"{money(million)} for a million tokens now",
        )


def _foreseen(seen: Seen, told: JSON) -> Iterator[str]:
    """Yield what is foreseen of a replica, a sentence each."""
    forecasts = told["forecasts"]
    horizon = f"within {lasted(forecasts['horizon_seconds'])}"
    if not forecasts["known"]:
        yield "KV cache: too little was seen to foresee whether it fills."
    else:
        for key, name, now in (
            ("kv_exhaustion", "The KV cache is full", "The KV cache has no room now."),
            ("first_preemption", "The next preemption comes", "Requests are preempted now."),
        ):
            found = forecasts[key]
            if found is not None:
                is_now = found["estimate_seconds"] == 0
                yield now if is_now else f"{name} {between(found)}."
        if forecasts["kv_exhaustion"] is None:
            yield f"KV cache: nothing foreseen that fills it {horizon}."
    for one in seen.engines.get("memory_forecasts", ()):
        mine = (one.get("engine"), one.get("instance_name")) == (
            told["engine"],
            told["instance_name"],
        )
        if mine and one["metric"].startswith("inferwatch_engine_cgroup"):
            yield f"Memory limit of its cgroup: reached {between(one)}."
    yield from _demand(seen, told["model_name"])


def _demand(seen: Seen, model: str) -> Iterator[str]:
    """Yield what is foreseen of the demand of a model."""
    demand = seen.capacity.get("demand") or {}
    for one in demand.get("models", ()):
        if one["model_name"] != model:
            continue
        ahead, end = one["forecast_tokens_per_minute"], one["days_until_exhausted"]
        if ahead is not None:
            yield (
                f"Demand of the model in {lasted(demand['horizon_seconds'])}: "
                f"{count(ahead['estimate'])} tokens a minute (with 90 %: {count(ahead['low'])} to "
                f"{count(ahead['high'])})."
            )
        if end is not None and end["estimate"] is not None:
            last = "later" if end["high"] is None else days(end["high"])
            yield (
                f"By its growth, demand reaches the capacity in {days(end['estimate'])} "
                f"({days(end['low'])} to {last})."
            )


def mood_of(seen: Seen, engine: str, name: str) -> tuple[str, Mood]:
    """Return the worst verdict on an engine in words, and how bad it is."""
    if seen.is_up(engine, name) is False:
        return "down", Mood.BAD
    found = [
        verdict_words(one["verdict"]["cause"])
        for one in seen.replicas()
        if (one["engine"], one["instance_name"]) == (engine, name)
    ]
    order = [Mood.BAD, Mood.WARN, Mood.UNKNOWN, Mood.WELL]
    return min(found, key=lambda one: order.index(one[1]), default=("not judged", Mood.UNKNOWN))
