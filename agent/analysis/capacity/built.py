"""A replica as queueing theory sees it: what was learned of its steps and mix, and its limits."""

from dataclasses import replace
from math import inf
from typing import Final

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System
from agent.analysis.capacity.estimate import Limits
from agent.analysis.capacity.law import law_of
from agent.analysis.capacity.mix import Seen
from agent.analysis.capacity.roofline import Roofline, roofline_of
from agent.analysis.capacity.room import Room
from agent.analysis.capacity.steady import most_served
from agent.analysis.capacity.told import USABLE
from agent.analysis.step_evidence import StepEvidence
from agent.analysis.step_model import StepTimeModel
from agent.steps import Steps

_NO_LIMIT: Final = 1024.0  # sequences; the largest default of any engine
_NO_BUDGET: Final = 1e6


class Builder:
    """Builds the system of one replica, and keeps what takes long while nothing new is known."""

    def __init__(self) -> None:
        self._evidence: StepEvidence | None = None
        self._roofline: Roofline | None = None

    def system(
        self,
        model: StepTimeModel,
        evidence: StepEvidence | None,
        seen: Seen,
        limits: Limits,
        targets: Targets,
    ) -> Steps[System]:
        """Return the replica as the law, the mix and the limits make it, in steps.

        Its target between tokens is about requests.

        An engine that counts no requests tells neither how long prompts are nor when first tokens
        come: whether it keeps that target cannot be known, so it is left out.

        Args:
            model: of its steps.
            evidence: what that rests on; None where nobody kept it.
            seen: its mix.
            limits: of its batch.
            targets: latencies that 95 of 100 should not exceed.
        """
        kv = limits.kv_tokens.value
        if not seen.counted:
            targets = replace(targets, time_to_first_token=inf)
        budget = _NO_BUDGET if limits.step_tokens.value is None else limits.step_tokens.value
        prompts, seats = seen.shape.prompts, limits.sequences.value
        if evidence is None:
            self._roofline = None
        elif evidence is not self._evidence:
            self._roofline = roofline_of(
                evidence, model.coefficients, prompts, budget=budget, cache=kv, seats=seats
            )
            yield
        self._evidence = evidence
        law = law_of(
            model,
            prompts,
            held=seen.held,
            shared=seen.shared,
            budget=budget,
            roofline=self._roofline,
            seats=seats,
        )
        memory = _NO_LIMIT if kv is None else max(1.0, (USABLE * kv - seen.shared) / seen.held)
        if seats is None:
            yield
            seats = most_served(law, seen.shape, Room(_NO_LIMIT, budget, memory))
        return System(
            law=law,
            shape=seen.shape,
            seats=seats,
            memory=memory,
            budget=budget,
            targets=targets,
        )
