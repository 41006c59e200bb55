"""What a report over a fleet says, as headings, tables and sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from agent.report import words
from agent.report.blocks import Block, Heading, Items, Table, about, details, missing
from agent.report.words import NOT_KNOWN

SHOWN: Final = 20
"""Groups that are told in full; the table and JSON have them all."""

_TITLES: Final = {"model": "model", "gpu": "GPU type", "cluster": "cluster"}
_QUIET: Final = frozenset({"nothing", "unknown"})
_KINDS: Final = {
    "load": "is asked {ratio:.1f} times the mean of its peers",
    "inter_token": "takes {ratio:.1f} times as long from token to token as its peers",
}


def title(document: Mapping[str, Any]) -> str:
    """Return the title."""
    of = ", ".join(document["clusters"]) or "the fleet"
    model = document["model_name"]
    return f"inferwatch report of {of}" + (f", {model}" if model else "")


def blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    """Yield everything that a report says."""
    yield Heading(1, title(document))
    yield Items(list(beginning(document)))
    yield from overview(document)
    for subject in document["subjects"][: SHOWN + 1]:
        yield Heading(2, words.title(subject))
        if subject["recommendations"]:
            yield Items([one["sentence"] for one in subject["recommendations"]])
        yield from details(subject)
    yield from endings(document)


def beginning(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what it is about, and what is missing."""
    hosts = document["hosts"]
    yield from about(document)
    of = NOT_KNOWN if hosts is None else f"{hosts:,.0f}"
    yield f"Hosts: {of}; asked of {document['server']}."
    yield from missing(document)


def overview(document: Mapping[str, Any]) -> Iterator[Block]:
    """Yield one line for each group, and what to do about them."""
    what = _TITLES[document["by"]]
    head = (
        what, "replicas", "GPUs", "GPUs busy", "peak, tokens a minute", "p95", "capacity",
        "headroom at the peak", "runs out in",
    )  # fmt: skip
    yield Table([head, *(_row(one) for one in document["subjects"])])
    shown = len(document["subjects"]) - 1
    if shown > SHOWN:
        yield Items(
            [f"The {SHOWN} busiest of {shown} are told in full; JSON and CSV have them all."]
        )
    todo = [
        f"{words.name(one)}: {said['sentence']}"
        for one in document["subjects"]
        for said in one["recommendations"]
        if said["action"] not in _QUIET
    ]
    if todo:
        yield Heading(2, "What to do")
        yield Items(todo)


def _row(subject: Mapping[str, Any]) -> Sequence[str]:
    """Return the line of a group."""
    peak, head, gpus = subject["load"]["peak"], subject["headroom_at_peak"], subject["gpus"]
    ability, left = subject["capacity"], subject["growth"]["days_until_exhausted"]
    able = ability["tokens_per_minute"] if ability["known"] else None
    p95 = subject["load"]["p95_tokens_per_minute"]
    own = subject["model_name"] if subject["kind"] == "model" else subject["instance_name"]
    return (
        own or "(without a name)",
        f"{subject['replicas']:,}",
        _text(gpus["count"], words.count),
        _text(gpus["busy_share"], words.share),
        NOT_KNOWN if peak is None else words.count(peak["tokens_per_minute"]),
        _text(p95, words.count),
        words.interval(able, words.count),
        NOT_KNOWN if head is None or head["share"] is None else words.whole(head["share"]),
        NOT_KNOWN if left is None else words.interval(left, words.days),
    )


def _text(value: float | None, form: Any) -> str:
    """Return a number for people."""
    return NOT_KNOWN if value is None else str(form(value))


def endings(document: Mapping[str, Any]) -> Iterator[Block]:
    """Yield GPUs, outliers and alerts."""
    yield Heading(2, "GPUs installed")
    rows = [
        (one["cluster"] or "-", one["gpu_type"], f"{one['count']:,}")
        for one in document["gpus_installed"]
    ]
    yield Table([("cluster", "type", "GPUs"), *rows]) if rows else Items(["None is known."])
    yield Heading(2, "Unlike their peers")
    yield from _outliers(document["outliers"])
    yield Heading(2, "Alerts")
    yield from _alerts(document["alerts"])


def _outliers(found: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield the replicas that stand out."""
    if not found:
        yield Items(["No replica was."])
        return
    rows = [
        (
            one["instance"],
            one["instance_name"],
            one["model_name"],
            _KINDS.get(one["kind"], "{ratio:.1f}").format(ratio=one["ratio"] or float("nan")),
            words.share(one["share_of_time"]),
        )
        for one in found
    ]
    yield Table([("host", "engine", "model", "what", "of the time"), *rows])


def _alerts(found: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield the alerts that fired."""
    if not found:
        yield Items(["None fired."])
        return
    rows = [
        (
            one["alertname"],
            one["cluster"] or "-",
            words.count(round(one["firing_peak"], 1)),
            words.seconds(one["firing_hours"] * 3600.0),
            words.share(one["share_of_time"]),
        )
        for one in found[:SHOWN]
    ]
    yield Table([("alert", "cluster", "at once, at most", "together", "of the time"), *rows])
    if len(found) > SHOWN:
        yield Items([f"{SHOWN} of {len(found)}; JSON has them all."])
