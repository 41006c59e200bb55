"""An engine and requests, as the tests of what it carries have them."""

from dataclasses import replace
from typing import Final

import numpy as np

from agent.analysis.capacity.law import Law
from agent.analysis.capacity.room import Room
from agent.analysis.capacity.steady import Shape

LAW: Final = Law.linear(0.02, 1e-4, 2e-4, 0.0)
ROOM: Final = Room(64.0, 8192.0)


def shape(prompt: float = 300.0, output: float = 150.0, spread: float = 0.4) -> Shape:
    """Return lengths spread evenly in the logarithm about two medians."""
    points = np.exp(spread * np.linspace(-2.0, 2.0, 64))
    return Shape.of(np.maximum(prompt * points, 1.0), np.maximum(output * points, 2.0))


def overlapping() -> Law:
    """Return the law of an engine that reads while it computes; its knee is at 400 tokens."""
    return replace(LAW, host=1e-3, reading=0.02, reading_each=2e-5, arithmetic=0.02 / 400.0)
