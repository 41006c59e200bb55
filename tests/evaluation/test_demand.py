"""Demand ahead, judged on shapes that the forecaster does not know."""

import pytest

from evaluation import demand
from evaluation.demand import HORIZONS, Ahead, Watched


@pytest.fixture(name="flat", scope="module")
def _flat() -> dict[int, Ahead]:
    """Return how well a demand without a season was foreseen on its second and third day."""
    return demand.ahead("flat", seed=9000, weeks=False)


def test_noise_is_averaged(flat: dict[int, Ahead]):
    """Where only the mean can be foreseen, the error is hardly above that of the true mean."""
    assert set(flat) == {*HORIZONS}
    assert flat[5].persistence < 0.75
    assert flat[5].persistence < 1.03 * flat[5].best
    assert flat[5].five < 1.0


def test_nine_of_ten_lie_inside(flat: dict[int, Ahead]):
    """The interval of 90 % has 88 to 92 of 100 minutes at each horizon."""
    assert all(0.88 < one.inside < 0.92 for one in flat.values())


def test_figures_are_taken_of_all_runs():
    """Alarms are a week's, over all shapes; ends count that were foreseen."""
    quiet = Watched(alarms=1, days=14.0, found=None, said=[(1.0, 2.0, 3.0)], came=[2.5], reached=1)
    wrong = Watched(alarms=0, days=14.0, found=None, said=[(1.0, 2.0, 3.0)], came=[9.0], reached=1)
    assert demand._alarms([[quiet], [wrong]]) == pytest.approx(0.25)
    assert demand._inside([quiet, wrong]) == 0.5
    table = demand._end_table({"growth": [quiet, wrong]}).splitlines()[-1]
    assert table == "| growth | 6 | 2 | 2 | 50% | 49% |"
