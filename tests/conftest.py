"""Settings of the whole suite."""

import gc
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Deterministic where nobody is there to follow a surprise up; at a desk each run tries anew.
# A busy machine is slow, not wrong: no deadline.
_CALM = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=_CALM)
settings.register_profile("desk", deadline=None, suppress_health_check=_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# Tests make and drop much, but few cycles: to look for those at every 700 was a tenth of a run.
gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what stays to the end out of every later collection, as the agent does at its start.

    Modules, tests and their parameters are half a million objects.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Leave no log behind: a command sets it up on what pytest captures, which is closed later."""
    yield
    structlog.reset_defaults()
