"""What is wrong now, said first; else that all is well."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from agent.catalog import alerts, gpu
from exporters.web.engines import mood_of
from exporters.web.hardware import gpu_mood
from exporters.web.markup import element, escaped, heading, link, outside, paragraph
from exporters.web.numbers import lasted
from exporters.web.seen import RUNBOOKS, Alert, Seen
from exporters.web.verdicts import Mood

_SEVERE: Final = 0
_SLIGHT: Final = 2
_MANY: Final = 6
"""Sentences about what may fire soon; the rest is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The first thing to read.

    Attributes:
        mood: how bad it is.
        text: one sentence.
        points: what is behind it, a sentence each.
    """

    mood: Mood
    text: str
    points: tuple[str, ...] = ()


def headline(seen: Seen) -> Headline:
    """Return what is to be said first."""
    if seen.time is None:
        text = "Starting: the first numbers come in a moment."
        return Headline(mood=Mood.UNKNOWN, text=text)
    if seen.silence:
        text = f"The agent no longer looks: {seen.silence}. What stands below is old."
        return Headline(mood=Mood.BAD, text=text)
    firing = [one for one in seen.alerts if one.firing]
    grave = [one for one in firing if one.rank < _SLIGHT]
    troubles = [*_troubles(seen)]
    points = tuple(text for _mood, text in troubles)
    if grave:
        mood = Mood.BAD if any(one.rank == _SEVERE for one in grave) else Mood.WARN
        return Headline(mood=mood, text=_fires(grave), points=points)
    if troubles:
        mood = Mood.BAD if any(mood is Mood.BAD for mood, _text in troubles) else Mood.WARN
        many = "Not all is well, though no alert fires." if not firing else "Not all is well."
        text = many if len(troubles) > 1 else points[0]
        return Headline(mood=mood, text=text, points=points if len(troubles) > 1 else ())
    return _well(seen, notes=len(firing))


def _fires(alerts: list[Alert]) -> str:
    """Return how many alerts fire."""
    if len(alerts) == 1:
        return f"An alert fires: {alerts[0].summary or alerts[0].name}."
    critical = sum(one.rank == _SEVERE for one in alerts)
    return f"{len(alerts)} alerts fire" + (f", {critical} of them critical." if critical else ".")


def _troubles(seen: Seen) -> Iterator[tuple[Mood, str]]:
    """Yield what is not well, with or without an alert."""
    for engine, name in seen.instances():
        words, mood = mood_of(seen, engine, name)
        if mood in (Mood.BAD, Mood.WARN):
            yield mood, f"Engine {name} is {words}."
    for sample in seen.samples.get(gpu.UP, ()):
        words, mood = gpu_mood(seen, sample.labels)
        # Clocks that are held down harm nobody unless an engine suffers, and then it is judged so.
        if mood is Mood.BAD:
            mig = f", MIG {sample.labels['mig']}" if sample.labels["mig"] else ""
            yield mood, f"GPU {sample.labels['gpu']}{mig}: {words}."
    for source in seen.sources:
        if source.state == "down" and not source.name.startswith("engine/"):
            yield Mood.WARN, f"The source {source.name} fails: {source.detail}."
    for sample in seen.samples.get(alerts.RECEIVER_UP, ()):
        if not sample.value:
            yield Mood.WARN, f"Alerts do not reach the receiver {sample.labels['receiver']}."


def _well(seen: Seen, *, notes: int) -> Headline:
    """Return that all is well, and with what."""
    engines = len(seen.instances())
    gpus = len(seen.samples.get(gpu.INFO, ()))
    if not engines:
        has = f"{gpus} GPU{'s' if gpus != 1 else ''}" if gpus else "neither GPU nor engine"
        text = f"Nothing is wrong. This host has {has}, and no engine was found yet."
        if not gpus:
            text = f"Nothing is wrong. There is {has} here; the host itself is watched."
        return Headline(mood=Mood.WELL, text=text)
    judged = [mood_of(seen, *one)[1] for one in seen.instances()]
    if Mood.UNKNOWN in judged:
        text = "No alert fires. Of an engine too little was seen to judge it."
        return Headline(mood=Mood.UNKNOWN, text=text)
    many = f"{engines} engines are" if engines > 1 else "the engine is"
    text = f"All well: no alert fires, {many} healthy or idle."
    if notes:
        text = f"All well: {many} healthy or idle. {notes} remark{'s' if notes > 1 else ''} below."
    return Headline(mood=Mood.WELL, text=text)


_WORD: Final = {Mood.BAD: "Trouble", Mood.WARN: "Look", Mood.WELL: "Well", Mood.UNKNOWN: "Wait"}


def first(seen: Seen) -> str:
    """Return the first part of the page: headline and alerts."""
    told = headline(seen)
    box = element(
        "div",
        {"class": f"first {told.mood}", "id": "first"},
        element("span", {"class": "badge"}, escaped(_WORD[told.mood])),
        element("p", {"class": "said"}, escaped(told.text)),
        element("ul", {}, *(element("li", {}, escaped(point)) for point in told.points))
        if told.points
        else "",
    )
    firing = [one for one in seen.alerts if one.firing]
    pending = [one for one in seen.alerts if not one.firing]
    parts = [box]
    if firing:
        parts += [heading(2, "Alerts", anchor="alerts"), *(_alert(seen, one) for one in firing)]
    if pending:
        parts.append(paragraph(_may_fire(pending), "soft"))
    return "".join(parts)


def _may_fire(pending: Sequence[Alert]) -> str:
    """Return what may fire soon, each sentence once and the first few of them."""
    counted = Counter(one.summary or one.name for one in pending)
    told = [f"{text} ({times} times)" if times > 1 else text for text, times in counted.items()]
    if len(told) > _MANY:
        told[_MANY:] = [f"and {len(told) - _MANY} more, in /api/v1/alerts"]
    return f"True now, but not yet for long enough to fire: {'; '.join(told)}."


def _alert(seen: Seen, alert: Alert) -> str:
    """Return one alert that fires."""
    mood = (Mood.BAD, Mood.WARN, Mood.WELL)[alert.rank]
    since = f"for {lasted(seen.time - alert.since)}" if seen.time is not None else ""
    about = ", ".join(filter(None, (alert.severity or "no severity", alert.about, since)))
    verdicts = [
        f"{one['instance_name']}: {one['verdict']['sentence']}"
        for one in seen.replicas()
        if alert.instance_name and one["instance_name"] == alert.instance_name
    ]
    runbook = (
        element("p", {"class": "links"}, "What to do: ", _led_to(alert)) if alert.runbook else ""
    )
    return element(
        "article",
        {"class": f"alert {mood}"},
        heading(3, alert.summary or alert.name),
        element(
            "p", {"class": "soft"}, element("b", {}, escaped(alert.name)), escaped(f" · {about}")
        ),
        paragraph(_kept(seen, alert), "detail"),
        paragraph(alert.description),
        *(paragraph(f"Verdict: {one}.", "detail") for one in verdicts),
        runbook,
    )


def _led_to(alert: Alert) -> str:
    """Return a link to what to do: on this host, or elsewhere."""
    if alert.runbook.startswith(f"{RUNBOOKS}#"):
        return link(alert.runbook, f"the runbook of {alert.name}")
    return outside(alert.runbook)


def _kept(seen: Seen, alert: Alert) -> str:
    """Return that what an alert says is over, where it fires on for a while all the same."""
    if alert.kept_since is None or seen.time is None:
        return ""
    gone = lasted(seen.time - alert.kept_since)
    return f"It is no longer so, for {gone} now; the alert ends by itself if that stays."
