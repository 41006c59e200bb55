"""Which part of a fleet is meant, as PromQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.promql import parse
from agent.report.fleet.scope import By, Part
from agent.store.series import MatchOp


@pytest.mark.parametrize(
    ("by", "label"), [(By.MODEL, "model_name"), (By.GPU, "gpu_type"), (By.CLUSTER, "site")]
)
def test_each_division_has_its_label(by: By, label: str):
    """A fleet is divided by the label that the rules keep, the cluster's by its configured name."""
    assert Part(by=by, cluster_label="site").label == label


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4), st.text(max_size=12))
def test_only_what_was_named_is_found(clusters: list[str], other: str):
    """Whatever clusters are called, the selector parses and finds them and nobody else."""
    selector = Part(clusters=clusters, model_name="m").selector("x", 'phase="prompt"')
    (found,) = parse(selector).selectors
    matcher = next(one for one in found.matchers if one.name == "cluster")
    assert matcher.op is MatchOp.REGEX
    assert all(matcher.matches(name) for name in clusters)
    assert matcher.matches(other) is (other in clusters)
    assert [one.value for one in found.matchers if one.name == "model_name"] == ["m"]


def test_what_has_no_model_is_not_asked_by_model():
    """Alerts and installed GPUs are of no model: a model that is asked for leaves them in."""
    assert Part(model_name="m").selector("x", by_model=False) == "x{}"
