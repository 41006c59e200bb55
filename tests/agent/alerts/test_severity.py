"""Severities by alert, model and instance: which counts, and that alerts go on as they are."""

import re

from hypothesis import given
from hypothesis import strategies as st

from agent.alerts.rule import Severity
from agent.alerts.severity import ENGINE_INFO, with_severities
from agent.commands.alert_relabel import relabelings
from agent.config.settings import AlertSeverity
from tests.fakes.rules import World, alert_group

RULE = "{alert: A, expr: 'v > 0', labels: {severity: warning}}, {alert: B, expr: 'v > 0'}"
BIG, SMALL = 'v{instance_name="one",model_name="big"}', 'v{instance_name="two",model_name="small"}'


def world(*told: tuple[str | None, Severity]) -> World:
    """Return rules with severities, on made-up numbers."""
    return World([*with_severities(alert_group(RULE), told)])


def severities(one: World) -> dict[tuple[str, str], str]:
    """Return the severity of each alert, by its name and instance."""
    return {
        (name, dict(alert.labels).get("instance_name", "")): dict(alert.labels).get("severity", "")
        for name, alert in one.engine.alerts()
    }


def test_the_same_rule_has_other_severities_for_other_models():
    """What is told for a model counts for its alerts alone; elsewhere the rule says it."""
    one = world((None, Severity(severity="page", model_name="big")))
    outcome = one.tick({BIG: 1.0, SMALL: 1.0})
    assert severities(one) == {
        ("A", "one"): "page",
        ("A", "two"): "warning",
        ("B", "one"): "page",
        ("B", "two"): "",
    }
    told = {(a.labels["alertname"], a.labels["instance_name"]): a.labels for a in outcome.alerts}
    assert told["A", "one"]["severity"] == "page"
    assert "severity" not in told["B", "two"]
    written = one.written("ALERTS")
    assert {dict(labels).get("severity") for labels in written} == {"page", "warning", None}


def test_the_last_that_matches_counts():
    """As with relabelings, one that comes later replaces those before it."""
    one = world(
        (None, Severity(severity="ticket", model_name="big")),
        ("A", Severity(severity="page", model_name="big")),
        ("B", Severity(severity="info", instance_name="two")),
    )
    one.tick({BIG: 1.0, SMALL: 1.0})
    assert severities(one) == {
        ("A", "one"): "page",
        ("A", "two"): "warning",
        ("B", "one"): "ticket",
        ("B", "two"): "info",
    }


INFO = ENGINE_INFO + '{engine="vllm",instance_name="one",model_name="big"}'
DOWN = 'v{engine="vllm",instance_name="one"}'


def test_an_alert_without_a_model_is_of_that_which_its_instance_served():
    """An engine that is down says no model any more; what it served before counts."""
    one = world((None, Severity(severity="page", model_name="big")))
    one.tick({INFO: 1.0, DOWN: 0.0})
    for _second in range(3):
        one.tick({DOWN: 1.0})
    assert severities(one) == {("A", "one"): "page", ("B", "one"): "page"}


def test_a_severity_does_not_change_while_the_alert_fires():
    """When nobody knows the model any more, an alert goes on with the labels that it has."""
    one = world((None, Severity(severity="page", model_name="big")))
    one.tick({INFO: 1.0, DOWN: 1.0})
    for _half_hour in range(5):
        outcome = one.tick({DOWN: 1.0}, seconds=1800.0)
        assert not any(alert.resolved for alert in outcome.alerts)
    assert severities(one) == {("A", "one"): "page", ("B", "one"): "page"}


def test_another_model_at_the_same_instance_has_its_own_severity():
    """An instance that serves another model now is judged by that."""
    one = world((None, Severity(severity="page", model_name="big")))
    one.tick({INFO: 1.0, DOWN: 1.0})
    one.tick({INFO.replace("big", "small"): 1.0}, seconds=120.0)
    one.tick({INFO.replace("big", "small"): 1.0, DOWN: 1.0}, seconds=120.0)
    assert severities(one) == {("A", "one"): "warning", ("B", "one"): ""}


NAMES = st.sampled_from(["a", "b.c", "b-c", "a|b"])
TOLD = st.builds(
    AlertSeverity,
    severity=st.sampled_from(["page", "ticket"]),
    alert=st.none() | NAMES,
    model_name=st.none() | NAMES,
    instance=st.none() | NAMES,
).filter(lambda one: any((one.alert, one.model_name, one.instance)))


@given(
    told=st.lists(TOLD, max_size=4),
    labels=st.fixed_dictionaries(
        {"alertname": NAMES}, optional={"model_name": NAMES, "instance_name": NAMES}
    ),
)
def test_prometheus_relabels_to_the_same(told: list[AlertSeverity], labels: dict[str, str]):
    """The relabelings that are printed give each alert with a model the severity it has here."""
    relabeled = "of the rule"
    for one in relabelings(told):
        joined = ";".join(labels.get(name, "") for name in one["source_labels"])
        if re.fullmatch(one["regex"], joined):
            relabeled = one["replacement"]
    models = {labels["model_name"]} if "model_name" in labels else set()
    own = [
        one.severity
        for one in told
        if one.alert in (None, labels["alertname"])
        and Severity(
            severity=one.severity, model_name=one.model_name, instance_name=one.instance
        ).matches(labels, models)
    ]
    assert relabeled == (own[-1] if own else "of the rule")
