"""What a report says, as headings, tables and sentences, for whatever form they then take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.report import words
from agent.report.words import FIGURES, NOT_KNOWN, Figure

_MOST: Final = 12
"""Lines of a list that are shown; JSON has them all."""

_TIMED: Final = {
    "time_to_first_token": "time to first token",
    "inter_token": "between tokens",
    "time_per_output_token": "between tokens, mean of a request",
}


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first is their head."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences, each on its own."""

    sentences: Sequence[str]


Block = Heading | Table | Items


def blocks(document: Mapping[str, Any]) -> Iterator[Block]:
    """Yield everything that a report says."""
    yield Heading(1, f"inferwatch report of {document['host'] or 'this host'}")
    yield Items([*about(document), *missing(document)])
    against = document.get("against")
    if against is not None:
        yield from comparisons(document, against)
    for subject in document["subjects"]:
        yield from section(subject)
    yield Heading(2, "Incidents")
    yield from incidents(document["incidents"])
    yield Heading(2, "Alerts")
    yield from alerts(document["alerts"])


def about(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what time it is about, and what is known of it."""
    window = document["window"]
    start, end = window["start_timestamp_seconds"], window["end_timestamp_seconds"]
    yield f"{words.moment(start)} to {words.moment(end)}, {words.seconds(end - start)}."
    full = window["every_sample_since_timestamp_seconds"]
    if full is None:
        yield "Reckoned from windows of five minutes."
    elif full > start:
        yield f"Reckoned by the minute from {words.moment(full)} on, by five minutes before."
    else:
        yield "Reckoned by the minute."


def missing(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the report should have been made of and is not there."""
    yield from (f"Missing: {one}." for one in document["missing"])


def section(subject: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what is said about one subject."""
    yield Heading(2, words.title(subject))
    yield Items([one["sentence"] for one in subject["recommendations"]])
    yield from details(subject)


def details(subject: Mapping[str, Any]) -> Iterator[Block]:
    """Yield the tables of one subject."""
    yield Table([("load", "tokens a minute", "input", "output"), *_load(subject["load"])])
    yield Table([("", ""), *_figures(subject)])
    if subject["latencies"]:
        yield Table([_LATENCY_HEAD, *_latencies(subject["latencies"])])
    if subject["verdicts"]:
        yield Table([("verdict", "share of the time"), *_verdicts(subject["verdicts"])])


_LATENCY_HEAD: Final = ("latency", "target", "p95", "time over target", "over target")


def _load(load: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield peak, 95th percentile and mean, with input and output apart."""
    peak = load["peak"]
    for name, key in (("peak", "peak"), ("p95", "p95"), ("mean", "mean")):
        whole = load.get(f"{key}_tokens_per_minute") if key != "peak" else None
        if key == "peak" and peak is not None:
            whole = peak["tokens_per_minute"]
        each = [load[phase][f"{key}_tokens_per_minute"] for phase in ("prompt", "generation")]
        yield (name, *(_text(value) for value in (whole, *each)))


def _text(value: float | None) -> str:
    """Return a number of tokens."""
    return NOT_KNOWN if value is None else words.count(value)


def _figures(subject: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield the single numbers."""
    load, head, ability = subject["load"], subject["headroom_at_peak"], subject["capacity"]
    peak = load["peak"]
    if peak is not None:
        length = words.seconds(peak["length_seconds"])
        yield (
            "peak came",
            f"{words.moment(peak['start_timestamp_seconds'])}, mean of {length}",
        )
    for figure in _ABOUT_LOAD:
        yield figure.name, figure.text(subject)
    yield "capacity within the targets", _capacity(ability)
    if ability["known"]:
        stability = words.interval(ability["stability_tokens_per_minute"], words.count)
        yield "stability limit", stability
        yield "binding limit", _binding(ability)
    yield "headroom at the peak", NOT_KNOWN if head is None else _headroom(head)
    yield from _growth(subject["growth"])
    yield from _cost(subject["cost"])


def _headroom(head: Mapping[str, Any]) -> str:
    """Return what was left at the peak."""
    left = f"{words.count(head['tokens_per_minute'])} tokens a minute"
    if head["share"] is None:
        return left
    return f"{left}, {words.whole(head['share'])} of the lower bound of the capacity"


_ABOUT_LOAD: Final[tuple[Figure, ...]] = tuple(
    figure
    for figure in FIGURES
    if figure.name
    in {
        "time known",
        "input to output",
        "input found in the cache",
        "requests",
        "highest KV cache use",
    }
)


def _capacity(capacity: Mapping[str, Any]) -> str:
    """Return the capacity, or why it is not known."""
    if not capacity["known"]:
        return f"{NOT_KNOWN}: {capacity['reason']}"
    text = words.interval(capacity["tokens_per_minute"], words.count)
    return f"{text} tokens a minute, {capacity['source']}"


def _binding(capacity: Mapping[str, Any]) -> str:
    """Return the tightest limit, and for how much of the time it was which."""
    shares = ", ".join(
        f"{_plain(name)} {words.share(held)}" for name, held in capacity["binding_shares"].items()
    )
    if capacity["binding"] is None:
        return NOT_KNOWN
    return f"{_plain(capacity['binding'])} (over the time: {shares})"


def _growth(growth: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield where the demand is going."""
    week, left = growth["share_per_week"], growth["days_until_exhausted"]
    if week is None:
        yield "growth a week", f"{NOT_KNOWN}: {growth['sentence']}"
    else:
        yield "growth a week", words.interval(week, words.share)
    if left is None:
        yield "capacity runs out in", f"{NOT_KNOWN}: {growth['why_not_foreseen']}"
    else:
        when = growth["exhausted_timestamp_seconds"]
        date = "" if when is None else f", about {words.date(when)}"
        yield "capacity runs out in", words.interval(left, words.days) + date


def _cost(cost: Mapping[str, Any] | None) -> Iterator[Sequence[str]]:
    """Yield what it has cost, where prices are configured."""
    if cost is None:
        return
    unit = cost["currency"]
    yield "cost", f"{words.money(cost['spent'])} {unit}, {words.money(cost['per_hour'])} an hour"
    for name, key in (
        ("cost of a million tokens", "per_million_tokens"),
        ("the same at capacity", "per_million_tokens_at_capacity"),
        ("worth of the tokens", "value_of_tokens"),
    ):
        if cost[key] is not None:
            yield name, f"{words.money(cost[key])} {unit}"


def _latencies(latencies: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Yield each latency against its target."""
    for key, one in latencies.items():
        yield (
            _TIMED[key],
            words.seconds(one["target_seconds"]),
            NOT_KNOWN if one["p95_seconds"] is None else words.seconds(one["p95_seconds"]),
            *(
                NOT_KNOWN if one[name] is None else words.share(one[name])
                for name in ("share_of_time_over", "share_of_observations_over")
            ),
        )


def _verdicts(verdicts: Mapping[str, float]) -> Iterator[Sequence[str]]:
    """Yield what held the engine back, the longest first."""
    for cause, held in verdicts.items():
        if held > 0:
            yield _plain(cause), words.share(held)


def incidents(found: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield the incidents."""
    if not found:
        yield Items(["None was recorded."])
        return
    rows = [
        (
            one["id"],
            one["trigger"] or "?",
            one["instance_name"] or "-",
            _length(one["time_to_detect_seconds"]),
            _length(one["time_to_resolve_seconds"]),
            one["text"].partition("; ")[0] or one["problem"],
        )
        for one in found[-_MOST:]
    ]
    yield Table([("incident", "trigger", "engine", "detected in", "over in", "what"), *rows])
    yield from _more(len(found))


def alerts(found: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Yield the alerts that fired."""
    if not found:
        yield Items(["None fired."])
        return
    rows = [
        (
            words.moment(one["fired_timestamp_seconds"]),
            one["alertname"],
            one["instance_name"] or "-",
            _length(one["time_to_detect_seconds"]),
            "not yet"
            if one["time_to_resolve_seconds"] is None
            else _length(one["time_to_resolve_seconds"]),
        )
        for one in found[-_MOST:]
    ]
    yield Table([("fired", "alert", "engine", "detected in", "over in"), *rows])
    yield from _more(len(found))


def _more(count: int) -> Iterator[Block]:
    """Yield that there are more than were shown."""
    if count > _MOST:
        yield Items([f"The last {_MOST} of {count}; JSON has them all."])


def _length(seconds: float | None) -> str:
    """Return a length of time."""
    return NOT_KNOWN if seconds is None else words.seconds(seconds)


def _plain(name: str) -> str:
    """Return a word of a label as people write it."""
    return name.replace("_", " ")


def comparisons(document: Mapping[str, Any], against: Mapping[str, Any]) -> Iterator[Block]:
    """Yield two reports side by side."""
    forms = {".".join(figure.path): figure.form for figure in FIGURES}
    for one in against["comparisons"]:
        this, other = words.name(one["this"]), words.name(one["other"])
        about = f"{this} against {other}"
        if this == other:
            about = this
            this, other = (
                words.moment(part["window"]["start_timestamp_seconds"])
                for part in (document, against)
            )
            about += f": {this} against {other}"
        yield Heading(2, about)
        rows = []
        for figure in one["figures"]:
            if figure["this"] is None and figure["other"] is None:
                continue
            form = forms[figure["key"]]
            texts = [
                NOT_KNOWN if figure[key] is None else form(figure[key]) for key in ("this", "other")
            ]
            difference = figure["difference"]
            change = NOT_KNOWN if difference is None else words.signed(form(difference), difference)
            if form in (words.share, words.whole) and difference is not None:
                digits = 1 if form is words.share else 0
                change = f"{words.signed(f'{difference * 100:.{digits}f}', difference)} points"
            elif figure["ratio"] is not None:
                change += (
                    f" ({words.signed(words.share(figure['ratio'] - 1), figure['ratio'] - 1)})"
                )
            rows.append((figure["name"].strip(), *texts, change))
        yield Table([("", this, other, "difference"), *rows])
    if not against["comparisons"]:
        yield Items(["No engine is in both windows, so nothing can be compared."])
