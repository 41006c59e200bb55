"""The law of a step as capacity needs it: also for steps with more in them than any that was seen.

Where stretches of work tell a roofline, that is the law, as far as it is believed (`roofline`). As
far as it is not, the learned law holds within what was seen. Beyond, a step that was bound by
reading the weights may become bound by arithmetic, and no batch seen gives a warning. Prompts do:
what a prompt token costs is arithmetic, and a decoded token needs as much of it. So the roofline of
what was learned, reading and arithmetic overlapping, says by how much steps get longer than the
learned law has it, and that the second prompt of a step costs more than the first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from agent.analysis.capacity.roofline import GROWN, Roofline, growth
from agent.analysis.step_model import StepTimeModel
from agent.analysis.window import Column

_SHORTEST: Final = 1e-6  # seconds; a law that was learned of prompts alone may have none
_POINTS: Final = 24  # of the grid of batches
_LARGEST: Final = 2048.0
_LENGTHS: Final = 16
_ROUNDS: Final = 14
_FLAT: Final = 0.3  # slope that was learned against the roofline's, up to which only that counts
_BENT: Final = 0.7
_UNSURE: Final = 3.0  # weight of that in the doubt: it may be nothing, or twice as much
_MOST: Final = 8.0  # times by which arithmetic may exceed what prompts were seen to cost

Adding: TypeAlias = Callable[[Column], Column]
"""`adding(tokens)`: the seconds that prompt tokens add to steps that decode something besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Seconds of a step: base + sequence · D + bend · D² for D up to what was seen, and prompts.

    Tokens held are part of `base`, where requests share them, and of `sequence`.

    Attributes:
        base: seconds of an empty step.
        prompt: seconds that a prompt token adds, on average of those that were seen.
        sequence: for each sequence that gets a further token.
        bend: for each pair of those.
        batches: sequences for which the next two are told, ascending, from the most that were seen.
        beyond: seconds of a step without prompts.
        doubt: seconds by which what was learned and the roofline differ.
        reading: seconds of reading in an empty step.
        reading_each: and for each sequence.
        arithmetic: seconds of arithmetic for each token; 0 where prompts add the same in any step.
        host: seconds of work that overlaps with nothing, where this is the law of a roofline that
            was learned: then that holds for any batch. None elsewhere.
        grows: by which each sequence makes the arithmetic of any longer, where that was learned.
        other: another law of the same engine; None where there is but one.
        share: how far that one is believed, 0 to 1.
    """

    base: float
    prompt: float
    sequence: float
    bend: float
    batches: Column
    beyond: Column
    doubt: Column
    reading: float = 0.0
    reading_each: float = 0.0
    arithmetic: float = 0.0
    host: float | None = None
    grows: float = 0.0
    other: "Law | None" = None
    share: float = 0.0

    @classmethod
    def linear(cls, base: float, prompt: float, sequence: float, bend: float) -> "Law":
        """Return a law that holds for any batch."""
        batches = np.array([_LARGEST, 2.0 * _LARGEST])
        return cls(
            base=base,
            prompt=prompt,
            sequence=sequence,
            bend=bend,
            batches=batches,
            beyond=base + (sequence + bend * batches) * batches,
            doubt=np.zeros(2),
        )

    @property
    def believed(self) -> float:
        """How far this is the law of a roofline that was learned, 0 to 1."""
        return 1.0 if self.host is not None else self.share

    def without_prompts(self, batch: Column) -> Column:
        """Return the seconds of a step that only decodes."""
        own = self._own_without_prompts(batch)
        if self.other is None:
            return own
        return own + self.share * (self.other.without_prompts(batch) - own)

    def _own_without_prompts(self, batch: Column) -> Column:
        """Return it by this law alone."""
        if self.host is not None:
            return self.host + self._overlapped(batch)
        learned = self.base + (self.sequence + self.bend * batch) * batch
        beyond = np.interp(batch, self.batches, self.beyond)
        return np.maximum(np.where(batch > self.batches[0], beyond, learned), _SHORTEST)

    def prompts(self, tokens: Column, batch: Column) -> Column:
        """Return the seconds that prompt tokens add to a step that decodes so many sequences."""
        return self.adding(batch)(tokens)

    def adding(self, batch: Column) -> Adding:
        """Return what gives the seconds that prompt tokens add to steps with so many sequences.

        It is asked for many prompts beside the same sequences, of which this is worked out once.
        """
        own, other, share = self._own_adding(batch), self.other, self.share
        if other is None:
            return own
        further = other.adding(batch)

        def both(tokens: Column) -> Column:
            seconds = own(tokens)
            return seconds + share * (further(tokens) - seconds)

        return both

    def _own_adding(self, batch: Column) -> Adding:
        """Return it by this law alone."""
        arithmetic = self.arithmetic
        if not arithmetic:
            return lambda tokens: np.asarray(self.prompt * tokens)
        reading, grown = self._apart(batch)
        without = np.cbrt(reading + (arithmetic * grown) ** 3)
        return lambda tokens: np.asarray(
            np.cbrt(reading + (arithmetic * (grown + tokens)) ** 3) - without
        )

    def _overlapped(self, batch: Column) -> Column:
        """Return the seconds of reading and of arithmetic, which overlap."""
        reading, grown = self._apart(batch)
        return np.asarray(np.cbrt(reading + (self.arithmetic * grown) ** 3))

    def _apart(self, batch: Column) -> tuple[Column, Column]:
        """Return the cube of the seconds of reading, and the tokens that arithmetic takes."""
        reading = (self.reading + self.reading_each * batch) ** 3
        return reading, batch + self.grows * batch * np.minimum(batch, GROWN)

    def doubt_at(self, batch: float) -> float:
        """Return how unsure a step beyond what was seen is, relative to its time."""
        doubt = float(np.interp(batch, self.batches, self.doubt))
        return doubt / max(float(self.without_prompts(np.array(batch))), 1e-12)

    def times(self, factor: float) -> "Law":
        """Return it with everything so many times as long."""
        return replace(
            self,
            base=factor * self.base,
            prompt=factor * self.prompt,
            sequence=factor * self.sequence,
            bend=factor * self.bend,
            beyond=factor * self.beyond,
            doubt=factor * self.doubt,
            reading=factor * self.reading,
            reading_each=factor * self.reading_each,
            arithmetic=factor * self.arithmetic,
            host=None if self.host is None else factor * self.host,
            other=None if self.other is None else self.other.times(factor),
        )


def law_of(
    model: StepTimeModel,
    prompts: Column,
    *,
    held: float,
    shared: float,
    budget: float,
    roofline: Roofline | None = None,
    seats: float | None = None,
) -> Law:
    """Return the law for requests of one mix.

    Args:
        model: as learned.
        prompts: prompt tokens computed for a request, quantiles.
        held: KV tokens of each request in the batch.
        shared: KV tokens that are held whatever the batch.
        budget: tokens of a step at most.
        roofline: of the engine, where its stretches of work tell it.
        seats: sequences that the batch may have; None where nobody tells.
    """
    base, prompt, sequence, kv, bend = model.coefficients
    plain = Law.linear(base + kv * shared, prompt, sequence + kv * held, bend)
    seen = max(model.batch[1], 1.0)
    batches = np.geomspace(seen, max(_LARGEST, 2.0 * seen), _POINTS)
    roofed = None
    if roofline is not None:
        roofed = _roofed(plain, roofline, batches, held=held, shared=shared)
        if roofline.share >= 1.0:
            return roofed
    if not (plain.base > 0.0 and prompt > 0.0):
        # Nothing says what arithmetic costs, so nothing beyond what was seen is sure.
        seconds = plain.without_prompts(batches)
        doubt = seconds * np.log2(batches / seen)
        law = replace(plain, batches=batches, beyond=seconds, doubt=doubt)
        if roofed is None or roofline is None:
            return law
        doubt = doubt + roofline.share * (roofed.doubt - doubt)
        return replace(law, doubt=doubt, other=roofed, share=roofline.share)
    law = replace(plain, reading=plain.base, reading_each=kv * held)
    law = _with_arithmetic(law, _together(model, prompts, budget), 0.5 * seen)
    reading = (law.reading + law.reading_each * batches) ** 3
    flat = np.diff(np.cbrt(reading + (law.arithmetic * batches) ** 3))
    grown = 1.0 + growth(seats, law.reading / law.arithmetic) * np.minimum(batches, GROWN)
    roof = np.diff(np.cbrt(reading + (law.arithmetic * grown * batches) ** 3))
    # A bend that was learned is part of a knee: it does not go on as a parabola.
    half, most = plain.without_prompts(np.array([0.5 * seen, seen])).tolist()
    learned = (most - half) / (0.5 * seen) * np.diff(batches)
    # Where the knee was reached already, what was learned says as much as the roofline.
    bent = np.clip((learned / np.maximum(roof, 1e-12) - _FLAT) / (_BENT - _FLAT), 0.0, 1.0)
    on = np.maximum(learned, roof + 0.5 * bent * (learned - roof))
    doubt = np.concatenate(([0.0], np.cumsum(np.abs(learned - roof) + _UNSURE * (roof - flat))))
    share = 0.0
    if roofline is not None and roofed is not None:
        share = roofline.share
        doubt += share * (roofed.doubt - doubt)
    return replace(
        law,
        batches=batches,
        beyond=most + np.concatenate(([0.0], np.cumsum(on))),
        doubt=doubt,
        other=roofed,
        share=share,
    )


def _roofed(plain: Law, roofline: Roofline, batches: Column, *, held: float, shared: float) -> Law:
    """Return the law of a roofline; the doubt is what the learned law goes on otherwise by."""
    law = replace(
        plain,
        reading=roofline.weights + roofline.kv * shared,
        reading_each=roofline.kv * held,
        arithmetic=roofline.token,
        host=roofline.host,
        grows=roofline.pair / roofline.token,
    )
    beyond = law.without_prompts(batches)
    roof, flat = (np.diff(one.without_prompts(batches)) for one in (law, replace(law, grows=0.0)))
    half, most = plain.without_prompts(np.array([0.5, 1.0]) * batches[0]).tolist()
    learned = (most - half) / (0.5 * batches[0]) * np.diff(batches)
    apart = np.abs(learned - roof) + _UNSURE * (roof - flat)
    doubt = np.concatenate(([0.0], np.cumsum(apart)))
    return replace(law, batches=batches, beyond=beyond, doubt=doubt)


def _together(model: StepTimeModel, prompts: Column, budget: float) -> Column:
    """Return the prompt tokens of a step that has any, as they were when the law was learned.

    What tells the law are the steps with more in them than usual: halfway to the largest batch.
    """
    lengths = prompts[:: max(1, len(prompts) // _LENGTHS)]
    tokens, batch, _held = model.load
    most = tokens * model.batch[1] / max(batch, 1.0)
    come = max(0.5 * most / float(lengths.mean()), 1e-6)
    return np.asarray(np.minimum(lengths * (come / -np.expm1(-come)), budget))


def _with_arithmetic(law: Law, lengths: Column, batch: float) -> Law:
    """Return a law with the arithmetic by which whole prompts cost what was seen."""
    low, high = law.prompt, _MOST * law.prompt
    here = np.array(batch)
    found = law
    for _ in range(_ROUNDS):
        found = replace(law, arithmetic=0.5 * (low + high))
        if float(found.prompts(lengths, here).mean()) < law.prompt * float(lengths.mean()):
            low = found.arithmetic
        else:
            high = found.arithmetic
    return found
