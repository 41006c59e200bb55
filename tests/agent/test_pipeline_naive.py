"""The pipeline against a naive one, for whatever sources do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.analysis.peaks import Peaks
from agent.model import (
    EMPTY_READING,
    Look,
    Reading,
    SeriesTable,
    SourceSpec,
)
from agent.pipeline import Pipeline
from tests.agent.pipelines import key_of, series_of, shown_by

NAMES = st.sampled_from("uvwxyz")

READINGS = st.dictionaries(NAMES, st.integers(-99, 99).map(float), max_size=5)

OUTCOMES = st.one_of(READINGS, st.sampled_from(["error", "unavailable", "nothing"]))

Tick = tuple[float, dict[str, dict[str, float] | str]]

TICKS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 3.0, 6.0]),
        st.fixed_dictionaries(dict.fromkeys("abc", OUTCOMES)),
    ),
    max_size=25,
)


class _Naive:
    """What must be shown, kept in dictionaries without any cleverness."""

    def __init__(self, stale_after: float) -> None:
        self.stale_after = stale_after
        self.values: dict[str, dict[str, float]] = {}
        self.read_at: dict[str, float] = {}

    def take(self, time: float, source: str, outcome: dict[str, float] | str) -> None:
        """Take one outcome over."""
        if isinstance(outcome, dict):
            self.values[source], self.read_at[source] = outcome, time
        elif outcome == "unavailable":
            self.values[source] = {}

    def shown(self, time: float) -> dict[str, float]:
        """Merge: the first source wins, what is stale is left out."""
        merged: dict[str, float] = {}
        for source in "abc":
            if source in self.read_at and time - self.read_at[source] <= self.stale_after:
                for name, value in self.values[source].items():
                    merged.setdefault(key_of(name), value)
        return merged


@pytest.mark.parametrize("same_lists", [True, False])
@given(ticks=TICKS)
def test_values_are_in_their_places(*, same_lists: bool, ticks: list[Tick]):
    """Whatever comes and goes, a frame holds what a plain merge of dictionaries holds."""
    pipeline = Pipeline(SeriesTable(), analyses=(Peaks(4.0),))
    table, naive, now = pipeline.table, _Naive(5.0), 1_000.0
    for name in "abc":
        pipeline.add_source(SourceSpec(name=name, stale_after=5.0))
    lists: dict[tuple[str, ...], list[int]] = {}
    for gap, outcomes in ticks:
        now += gap
        looks = []
        for source, outcome in outcomes.items():
            naive.take(now, source, outcome)
            if isinstance(outcome, dict):
                ids = [series_of(table, name) for name in outcome]
                if same_lists:
                    ids = lists.setdefault((source, *outcome), ids)
                reading = Reading(ids, list(outcome.values()))
                looks.append(Look(source=source, duration=0.1, reading=reading))
            elif outcome != "nothing":
                gone = outcome == "unavailable"
                looks.append(Look(source=source, duration=0.1, error="x", unavailable=gone))
        shown = shown_by(pipeline.conclude(now, looks, EMPTY_READING))
        plain = {key: value for key, value in shown.items() if key.startswith(key_of("")[:-3])}
        assert plain == naive.shown(now)
        peaks = {key for key in shown if "_max{" in key or "_min{" in key}
        assert len(peaks) == 2 * len(plain)
