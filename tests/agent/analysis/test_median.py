"""The median and other quantiles are numpy's, without numpy's masked arrays."""

import math
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.median import median, median_of, quantile

ROOT = Path(__file__).parents[3]


@given(st.lists(st.floats(-1e300, 1e300) | st.just(math.nan) | st.just(math.inf), min_size=1))
def test_it_is_the_median_of_numpy(values: list[float]) -> None:
    """Of an odd and an even number of values, of infinite ones, and of what is no number."""
    wanted = float(np.median(values))
    assert median(np.array(values)) == pytest.approx(wanted, rel=1e-15, nan_ok=True)


@given(st.lists(st.floats(-1e300, 1e300) | st.just(math.inf), min_size=1))
def test_a_few_numbers_have_the_same(values: list[float]) -> None:
    """Of an odd and an even number of them, in any order."""
    assert median_of(iter(values)) == pytest.approx(statistics.median(values), rel=1e-15)


def test_of_nothing_there_is_none() -> None:
    """No values have no median, as they have no mean."""
    assert math.isnan(median(np.array([])))


@given(st.lists(st.floats(-1e100, 1e100), min_size=1), st.floats(0.0, 1.0))
def test_a_quantile_is_that_of_numpy(values: list[float], share: float) -> None:
    """To the last bit, of any share of any numbers; of none, or with NaN, there is none."""
    assert quantile(np.array(values), share) == float(np.quantile(values, share))
    assert math.isnan(quantile(np.array([*values, math.nan]), share))
    assert math.isnan(quantile(np.empty(0), share))


def test_masked_arrays_are_not_imported() -> None:
    """Not by what the agent imports, nor by a first call."""
    code = (
        "import sys, numpy as np, agent.commands.run, agent.app.live;"
        "from agent.analysis.median import median, quantile;"
        "from agent.analysis.step_fit import fit; from tests.agent.analysis.stretches import *;"
        "fit(stretches(linear, count=12), list(range(12)));"
        "median(np.ones(3)); quantile(np.ones(3), 0.3);"
        "print('numpy.ma' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_nothing_of_the_agent_asks_numpy_for_it() -> None:
    """Its first call would bring them in."""
    files = [*(ROOT / "agent").rglob("*.py"), *(ROOT / "collectors").rglob("*.py")]
    known = re.compile(r"np\.(nan)?(median|percentile|quantile)\(")
    asked = {str(file) for file in files if known.search(file.read_text())}
    # `numpy.unique` does so unless it is asked for indices too; reports may.
    asked |= {
        str(file)
        for file in files
        if re.search(r"np\.unique\((?![^\n]*return_)", file.read_text())
        and ROOT / "agent" / "report" not in file.parents
    }
    assert asked == set()
