"""The frame of a plot: its size, its axes with their numbers, and what is said of it to all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.report.plot.scale import Linear, moments, ticks
from agent.report.plot.svg import element, text, words


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels of a plot, and how it is called in a page.

    Attributes:
        name: class of the element; the page shows one of several sizes.
        width: of the whole.
        height: of the whole.
    """

    name: str
    width: int
    height: int

    @property
    def narrow(self) -> bool:
        """Whether there is room for few numbers only."""
        return self.width < 500  # noqa: PLR2004 - a telephone


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the axes are.

    Attributes:
        size: of the plot.
        x: maps what goes to the right.
        y: maps what goes up.
    """

    size: Size
    x: Linear
    y: Linear

    @property
    def left(self) -> float:
        """Where the plot begins."""
        return self.x.start

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x.end


def frame(size: Size, xs: tuple[float, float], top: float, *, right: int = 12) -> Frame:
    """Return the frame of a plot whose numbers begin at 0.

    Args:
        size: of the plot.
        xs: lowest and highest value to the right.
        top: highest value that must be seen.
        right: pixels kept free for a second axis.
    """
    marks = ticks(top, 4)
    low, high = xs if xs[1] > xs[0] else (xs[0], xs[0] + 1.0)
    return Frame(
        size,
        Linear(low, high, 52.0, float(size.width - right)),
        Linear(0.0, marks[-1], float(size.height - 26), 24.0),
    )


def y_axis(on: Frame, form: Callable[[float], str], unit: str) -> str:
    """Return the lines across, with their numbers on the left and what they count above."""
    parts = [text(0, 10, unit, style="unit")]
    for mark in ticks(on.y.high, 4):
        y = on.y(mark)
        parts.append(element("path", {"d": f"M{on.left:.0f},{y:.1f}H{on.right:.0f}", "class": "g"}))
        parts.append(text(on.left - 6, y + 4, form(mark), anchor="end"))
    return "".join(parts)


def right_axis(on: Frame, scale: Linear, form: Callable[[float], str], unit: str) -> str:
    """Return the numbers of a second scale on the right."""
    parts = [text(on.size.width, 10, unit, anchor="end", style="unit")]
    parts += [
        text(on.right + 6, scale(mark) + 4, form(mark)) for mark in ticks(scale.high, 4)
    ]  # fmt: skip
    return "".join(parts)


def time_axis(on: Frame) -> str:
    """Return the times below."""
    marks = moments(on.x.low, on.x.high, 4 if on.size.narrow else 9)
    return _below(on, [(on.x(time), said) for time, said in marks])


def x_axis(on: Frame, form: Callable[[float], str], unit: str) -> str:
    """Return the numbers below, and what they count."""
    marks = ticks(on.x.high, 4 if on.size.narrow else 8)
    # What is counted stands at the right end, and takes as much room as its letters.
    free = on.right - 7 * len(unit) - 24
    said = [(on.x(mark), form(mark)) for mark in marks if on.x(mark) <= free]
    return _below(on, said) + text(on.right, on.y.start + 18, unit, anchor="end")


def _below(on: Frame, marks: Sequence[tuple[float, str]]) -> str:
    """Return marks on the lower edge; those at its ends are kept inside."""
    parts: list[str] = []
    base = on.y.start
    for x, said in marks:
        parts.append(element("path", {"d": f"M{x:.1f},{base:.1f}v4", "class": "a"}))
        anchor = "middle"
        if x > on.right - 14:
            anchor = "end"
        parts.append(text(min(x, on.right), base + 18, said, anchor=anchor))
    return "".join(parts)


def drawn(on: Size, name: str, title: str, about: str, *parts: str) -> str:
    """Return the plot, with what it shows in words.

    Args:
        on: its size.
        name: unique in the page, of letters, digits and dashes.
        title: what it is.
        about: what is to be seen, in a sentence.
        parts: markup.
    """
    label = f"{name}-{on.name}"
    return element(
        "svg",
        {
            "viewBox": f"0 0 {on.width} {on.height}",
            "class": on.name,
            "role": "img",
            "aria-labelledby": f"{label}-t {label}-d",
        },
        element("title", {"id": f"{label}-t"}, words(title)),
        element("desc", {"id": f"{label}-d"}, words(about)),
        *parts,
    )
