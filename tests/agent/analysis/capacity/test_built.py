"""A replica as it is built of what was learned."""

from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest

from agent.analysis.bottleneck import Targets
from agent.analysis.capacity.bound import System
from agent.analysis.capacity.built import Builder
from agent.analysis.capacity.estimate import Limit, Limits
from agent.analysis.capacity.mix import Seen
from agent.analysis.capacity.steady import Shape
from agent.steps import at_once
from tests.agent.analysis.capacity.test_roofline import (
    BUDGET,
    CACHE,
    HELD,
    engine,
    learned,
    prompts,
    worked,
)

TARGETS = Targets(time_to_first_token=1.0, inter_token_latency=0.1)
LIMITS = Limits(step_tokens=Limit(BUDGET, "file"), kv_tokens=Limit(CACHE, "page"))
LAW = engine(0.02, 120.0)
MODEL, EVIDENCE = learned(worked(LAW, 400.0))


def seen(*, counted: bool = True) -> Seen:
    """Return some mix."""
    return Seen(
        shape=Shape.of(prompts(400.0), np.full(64, 60.0)),
        prompt=400.0,
        cached=0.0,
        held=HELD,
        shared=0.0,
        counted=counted,
        requests=500.0,
        error=0.01,
        since=0.0,
        rates=(100.0, 1000.0),
    )


def system(builder: Builder, *known: Any) -> System:
    """Return what is built, without pauses."""
    return at_once(builder.system(*known))


def test_the_roofline_is_learned_once_for_each_law():
    """Evidence that was seen is not fitted again; other evidence is, and none is the law alone."""
    builder = Builder()
    first, again = (system(builder, MODEL, EVIDENCE, seen(), LIMITS, TARGETS) for _ in range(2))
    other = system(
        builder, MODEL, replace(EVIDENCE, seconds=2.0 * EVIDENCE.seconds), seen(), LIMITS, TARGETS
    )
    alone = system(builder, MODEL, None, seen(), LIMITS, TARGETS)
    assert first.law.arithmetic == again.law.arithmetic
    assert other.law.host != first.law.host
    assert alone.law.host is None
    assert alone.law.other is None


def test_limits_that_nobody_tells_bind_nothing():
    """Without limits there are the seats that serve most, and room for any prompt."""
    found = system(Builder(), MODEL, EVIDENCE, seen(), Limits(), TARGETS)
    assert found.budget > 1e5
    assert found.seats <= 1024.0
    told = replace(LIMITS, sequences=Limit(7.0, "file"))
    few = system(Builder(), MODEL, EVIDENCE, seen(), told, TARGETS)
    assert few.seats == 7.0
    assert few.memory == pytest.approx(0.99 * CACHE / HELD)


def test_where_requests_are_not_counted_the_first_token_is_left_out():
    """Who tells neither lengths nor first tokens is held to the other target alone."""
    mix = seen(counted=False)
    found = system(Builder(), MODEL, None, mix, LIMITS, TARGETS)
    assert found.targets.time_to_first_token == inf
    assert found.targets.inter_token_latency == 0.1
