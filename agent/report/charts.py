"""The plots of a report, each for a subject and a size."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from agent.report import words
from agent.report.grid import Column, Grid, unknown
from agent.report.plot import svg
from agent.report.plot.frame import (
    Frame,
    Size,
    drawn,
    frame,
    right_axis,
    time_axis,
    x_axis,
    y_axis,
)
from agent.report.plot.scale import Linear
from agent.report.report import Section
from agent.report.tail import Timed

_MOST: Final = 480  # places to the right that a screen can tell apart
_DAY: Final = 86_400.0
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_AHEAD: Final = 0.5  # of what was seen, that is looked ahead at least
_MINUTE: Final = "tokens a minute"


def _thinned(column: Column, how: str) -> Column:
    """Return a column of at most `_MOST` values: the mean or the highest of neighbours."""
    each = math.ceil(len(column) / _MOST)
    if each <= 1:
        return column
    padded = np.concatenate((column, np.full(-len(column) % each, np.nan))).reshape(-1, each)
    known = ~np.isnan(padded)
    some = known.any(axis=1)
    if how == "highest":
        highest = unknown(len(padded))
        highest[some] = np.nanmax(padded[some], axis=1)
        return highest
    mean = unknown(len(padded))
    mean[some] = np.nanmean(padded[some], axis=1)
    return mean


def _times(section: Section, count: int) -> Column:
    """Return the middle of each of so many cells over the window."""
    grid = section.subject.span.five
    width = math.ceil(grid.count / count) * grid.step if count else grid.step
    return Grid(grid.start + width / 2, width, count).starts


def _over(on: Frame, times: Column, column: Column) -> list[tuple[float, float] | None]:
    """Return a column as points; None where it is not known."""
    return [
        None if math.isnan(value) else (on.x(time), on.y(min(value, on.y.high)))
        for time, value in zip(times.tolist(), column.tolist(), strict=True)
    ]


def _band(
    on: Frame, times: Column, high: Column, low: Column
) -> list[tuple[float, float, float] | None]:
    """Return the area between two columns; None where either is not known."""
    return [
        None
        if math.isnan(above) or math.isnan(below)
        else (on.x(time), on.y(min(above, on.y.high)), on.y(min(below, on.y.high)))
        for time, above, below in zip(times.tolist(), high.tolist(), low.tolist(), strict=True)
    ]


def _top(*columns: Column) -> float:
    """Return the highest value of several columns; 0 where nothing is known."""
    known = [float(np.nanmax(column)) for column in columns if not np.isnan(column).all()]
    return max(known, default=0.0)


def demand(section: Section, size: Size, name: str) -> str:
    """Demand against the band of the capacity."""
    subject, room = section.subject, section.room
    served = _thinned(subject.tokens.five, "highest")
    asked = _thinned(room.demand, "highest")
    low, high = _thinned(room.targets.low, "mean"), _thinned(room.targets.high, "mean")
    estimate = _thinned(room.targets.estimate, "mean")
    stability = _thinned(room.stability.estimate, "mean")
    grid = subject.span.five
    top = _top(served, asked, high, stability) * 1.05
    on = frame(size, (grid.start, grid.end), top)
    times = _times(section, len(served))
    able = words.interval(section.facts["capacity"].get("tokens_per_minute"), words.count)
    about = (
        f"From {words.moment(grid.start)} to {words.moment(grid.end)}. The highest five minutes "
        f"were {words.count(_top(served))} tokens a minute; the capacity was {able}."
    )
    return drawn(
        size,
        name,
        "Demand against capacity",
        about,
        y_axis(on, words.count, _MINUTE),
        time_axis(on),
        svg.area(_band(on, times, high, low), "c-band"),
        svg.line(_over(on, times, estimate), "c-capacity"),
        svg.line(_over(on, times, stability), "c-stability"),
        svg.area(_band(on, times, served, served * 0), "c-fill"),
        svg.line(_over(on, times, served), "c-load"),
        svg.line(_over(on, times, asked), "c-asked"),
    )


def latency(section: Section, size: Size, name: str, timed: Timed) -> str:
    """Latency of each five minutes against their load, with the target."""
    subject = section.subject
    tail = subject.tails[timed]
    target = section.facts["latencies"][timed.value]["target_seconds"]
    load, p95 = subject.tokens.five, tail.p95.five
    seen = np.flatnonzero(~np.isnan(load) & ~np.isnan(p95))
    if len(seen) > 2 * _MOST:
        seen = seen[:: math.ceil(len(seen) / (2 * _MOST))]
    scale = 1000.0 if max(target, _top(p95)) < 1 else 1.0
    top = max(target * 1.25, min(_top(p95[seen]), target * 5)) * scale
    on = frame(size, (0.0, _top(load[seen]) * 1.02), top)
    points = [
        svg.element(
            "circle",
            {
                "cx": on.x(float(load[place])),
                "cy": on.y(min(float(p95[place]) * scale, on.y.high)),
                "r": 2.2,
                "class": "c-over" if p95[place] > target else "c-point",
            },
        )
        for place in seen
    ]
    y = on.y(target * scale)
    over = int((p95[seen] > target).sum())
    return drawn(
        size,
        name,
        f"Latency against load: {TIMED[timed]}",
        f"Each point is five minutes; {over} of {len(seen)} are above the target of "
        f"{words.seconds(target)}.",
        y_axis(on, words.count, f"p95, {'ms' if scale > 1 else 's'}"),
        x_axis(on, words.count, _MINUTE),
        "".join(points),
        svg.element("path", {"d": f"M{on.left:.0f},{y:.1f}H{on.right:.0f}", "class": "c-target"}),
    )


TIMED: Final = {
    Timed.TIME_TO_FIRST_TOKEN: "time to first token",
    Timed.INTER_TOKEN: "time between tokens",
    Timed.TIME_PER_OUTPUT_TOKEN: "mean time between tokens of a request",
}


def batch(section: Section, size: Size, name: str) -> str:
    """KV cache and batch over the window."""
    subject = section.subject
    grid = subject.span.five
    kv = _thinned(subject.kv_peak, "highest") * 100.0
    running, waiting = (_thinned(one, "highest") for one in (subject.running, subject.waiting))
    on = frame(size, (grid.start, grid.end), 100.0, right=40)
    requests = frame(size, (grid.start, grid.end), max(_top(running, waiting), 1.0), right=40)
    scale: Linear = requests.y
    times = _times(section, len(kv))
    return drawn(
        size,
        name,
        "KV cache and batch",
        f"The KV cache was {words.count(_top(kv))} % full at most; {words.count(_top(running))} "
        f"requests ran and {words.count(_top(waiting))} waited at most, means of five minutes.",
        y_axis(on, words.count, "KV cache, %"),
        right_axis(on, scale, words.count, "requests"),
        time_axis(on),
        svg.area(_band(on, times, kv, kv * 0), "c-kv-fill"),
        svg.line(_over(on, times, kv), "c-kv"),
        svg.line(_over(requests, times, running), "c-load"),
        svg.line(_over(requests, times, waiting), "c-waiting"),
    )


def week(section: Section, size: Size, name: str) -> str:
    """Mean load by hour of the week."""
    values = section.growth.week.reshape(7, 24)
    top = _top(section.growth.week)
    left, head = 34.0, 16.0
    width = (size.width - left - 4) / 24
    height = (size.height - head - 6) / 7
    parts = [
        svg.text(left + (hour + 0.5) * width, 10, f"{hour:02d}", anchor="middle")
        for hour in range(0, 24, 6 if size.narrow else 2)
    ]
    for day, label in enumerate(_WEEKDAYS):
        parts.append(svg.text(0, head + (day + 0.5) * height + 4, label))
        for hour in range(24):
            value = float(values[day, hour])
            box: dict[str, object] = {
                "x": left + hour * width,
                "y": head + day * height,
                "width": width - 1,
                "height": height - 1,
            }
            if math.isnan(value):
                parts.append(svg.element("rect", {**box, "class": "c-unseen"}))
                continue
            shade = 0.06 + 0.94 * value / top if top > 0 else 0.06
            said = svg.words(f"{label} {hour:02d}:00Z, {words.count(value)} tokens a minute")
            parts.append(
                svg.element(
                    "rect",
                    {**box, "class": "c-heat", "fill-opacity": f"{shade:.2f}"},
                    svg.element("title", {}, said),
                )
            )
    unseen = int(np.isnan(section.growth.week).sum())
    seen = f"{unseen} of the 168 hours were never seen." if unseen else "Every hour was seen."
    return drawn(
        size,
        name,
        "Hour of the week",
        f"Mean load by hour (UTC); the busiest had {words.count(top)} tokens a minute. {seen}",
        *parts,
    )


def exhaustion(section: Section, size: Size, name: str) -> str:
    """The busiest hours of the days, where they are going, and when they reach the capacity."""
    growth = section.growth
    able = section.facts["capacity"].get("tokens_per_minute")
    first = (growth.past[0][0] if growth.past else growth.end - _DAY) // _DAY * _DAY
    latest = growth.end + max(7 * _DAY, _AHEAD * (growth.end - first))
    days = growth.days
    if days is not None and days["estimate"] is not None:
        latest = max(latest, growth.end + (days["estimate"] + 7) * _DAY)
        if days["high"] is not None:
            latest = min(
                max(latest, growth.end + (days["high"] + 7) * _DAY), growth.end + 370 * _DAY
            )
    peaks = np.array([value for _time, value in growth.past])
    top = max(_top(peaks), able["high"] if able else 0.0) * 1.15
    on = frame(size, (first, latest), top)
    parts = [y_axis(on, words.count, _MINUTE), time_axis(on)]
    if able:
        parts += _across(on, able)
    points = [(on.x(time), on.y(value)) for time, value in growth.past]
    parts += [
        svg.element("circle", {"cx": x, "cy": y, "r": 2.2, "class": "c-point"}) for x, y in points
    ]
    if growth.line is not None:
        parts += _trend(on, section, latest)
    if days is not None and days["estimate"] is not None:
        parts += _when(on, growth.end, days)
    now = on.x(growth.end)
    parts.append(svg.line([(now, on.y.start), (now, on.y.end)], "c-now"))
    return drawn(size, name, "Until capacity runs out", _until(section), *parts)


def _across(on: Frame, able: dict[str, float]) -> Sequence[str]:
    """Return the band of the capacity."""
    ends = (on.left, on.right)
    return (
        svg.area([(x, on.y(able["high"]), on.y(able["low"])) for x in ends], "c-band"),
        svg.line([(x, on.y(able["estimate"])) for x in ends], "c-capacity"),
    )


def _trend(on: Frame, section: Section, latest: float) -> Sequence[str]:
    """Return the line through the peaks, and between what they go on with 90 %."""
    growth = section.growth
    line = growth.line
    if line is None:
        return ()
    low, estimate, high = line.share
    peak = line.peak
    back = growth.end - 7 * _DAY * line.weeks
    times = np.linspace(growth.end, latest, 24)
    ahead = (times - growth.end) / (7 * _DAY)
    spread = [np.clip(peak * (1 + share * ahead), 0.0, on.y.high) for share in (low, high)]
    begin = peak * (1 + estimate * (back - growth.end) / (7 * _DAY))
    end = peak * (1 + estimate * ahead[-1])
    return (
        svg.area(_band(on, times, spread[1], spread[0]), "c-trend-band"),
        svg.line(
            [
                (on.x(max(back, on.x.low)), on.y(max(begin, 0.0))),
                (on.x(latest), on.y(min(max(end, 0.0), on.y.high))),
            ],
            "c-trend",
        ),
    )


def _when(on: Frame, end: float, days: dict[str, float | None]) -> Sequence[str]:
    """Return the span of days in which the capacity runs out, on the lower edge."""
    low, high = days["low"] or 0.0, days["high"]
    left = on.x(end + low * _DAY)
    right = on.right if high is None else min(on.right, on.x(end + high * _DAY))
    middle = on.x(end + (days["estimate"] or 0.0) * _DAY)
    y = on.y.start
    return (
        svg.line([(left, y - 3), (max(right, left + 1), y - 3)], "c-when"),
        svg.element("circle", {"cx": middle, "cy": y - 3, "r": 4, "class": "c-day"}),
    )


def _until(section: Section) -> str:
    """Return what the plot shows in words."""
    growth = section.growth
    if growth.days is None:
        return f"The day is not known: {growth.why}. Growth: {growth.sentence}."
    when = growth.as_json()["exhausted_timestamp_seconds"]
    date = "" if when is None else f", about {words.date(when)}"
    return f"In {words.interval(growth.days, words.days)}{date}."
