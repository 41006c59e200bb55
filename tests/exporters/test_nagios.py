"""What alerts and numbers are to Nagios: the state, the words, the numbers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.nagios import Status, Wanted, result
from exporters.perfdata import Range


def alert(name: str, severity: str = "", *, state: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus tells it."""
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} | summary\nof two lines"},
        "state": state,
        "activeAt": "2027-01-15T08:00:00Z",
        "value": "1e+00",
    }


def replica(name: str = "chat", model: str = "big", rank: str = "0") -> dict[str, Any]:
    """Return a replica as the signals tell it."""
    return {
        "engine": "vllm",
        "instance_name": name,
        "model_name": model,
        "rank": rank,
        "demand_tokens_per_minute": {"value": 6000.0, "age_seconds": 3.0},
        "capacity_tokens_per_minute": {"value": 8000.0, "age_seconds": 3.0},
        "utilization_ratio": {"value": 0.75, "age_seconds": 3.0},
        "predicted_utilization_ratio": {"low": 0.7, "estimate": 0.8, "high": 1.0},
        "queue_requests": {"value": 2.0, "age_seconds": 1.0},
        "queue_wait_p95_seconds": None,
        "kv_cache_usage_ratio": {"value": 0.4, "age_seconds": 1.0},
    }


def test_a_calm_host_is_ok():
    """Without alerts the state is OK, with the numbers of each replica and their units."""
    status, text = result([], [replica()], Wanted())
    assert status is Status.OK
    assert text == (
        "OK - 1 engine replica is watched, and nothing fires that is worse than info | "
        "chat_utilization=75%;;;0 chat_predicted_utilization=80%;;;0 chat_demand=6000;;;0 "
        "chat_capacity=8000;;;0 chat_headroom=2000 chat_queue=2;;;0 chat_queue_wait=U;;;0 "
        "chat_kv_cache=40%;;;0;100"
    )


def test_the_worst_alert_says_the_state():
    """What fires is named, the worst first; what waits or is over is not; texts are one line."""
    alerts = [
        alert("Note", "info"),
        alert("Slow", "warning", instance_name="chat"),
        alert("Down", "critical", instance_name="chat"),
        alert("Soon", "critical", state="pending"),
    ]
    status, text = result(alerts, [], Wanted())
    assert status is Status.CRITICAL
    assert text.splitlines() == [
        "CRITICAL - Down chat, Slow chat",
        "[CRITICAL] Down chat: Down / summary of two lines (critical)",
        "[WARNING] Slow chat: Slow / summary of two lines (warning)",
        "[OK] Note: Note / summary of two lines (info)",
    ]


@pytest.mark.parametrize(
    ("severity", "status"),
    [
        ("critical", Status.CRITICAL),
        ("Page", Status.CRITICAL),
        ("warning", Status.WARNING),
        ("ticket", Status.WARNING),
        ("whatever", Status.WARNING),
        ("", Status.WARNING),
        ("info", Status.OK),
        ("mine", Status.UNKNOWN),
    ],
)
def test_severities_are_states(severity: str, status: Status):
    """What is not known is a warning; the user may say otherwise."""
    wanted = Wanted(severities={"mine": Status.UNKNOWN})
    assert result([alert("A", severity)], [], wanted)[0] is status


def test_only_what_is_meant_counts():
    """An instance has its own alerts and those of its model, and not those of the host."""
    alerts = [
        alert("Down", "critical", instance_name="chat"),
        alert("Burn", "warning", instance_name="other", model_name="small"),
        alert("Disk", "warning"),
    ]
    replicas = [replica(), replica("other", "small")]

    def firing(wanted: Wanted) -> tuple[Status, str]:
        status, text = result(alerts, replicas, wanted)
        return status, text.partition(" - ")[2].partition(" | ")[0]

    assert firing(Wanted(instances=["chat"])) == (Status.CRITICAL, "Down chat")
    assert firing(Wanted(models=["big"])) == (Status.CRITICAL, "Down chat")
    assert firing(Wanted(models=["small"])) == (Status.WARNING, "Burn other")
    assert firing(Wanted(alerts=["Disk"])) == (Status.WARNING, "Disk")
    assert firing(Wanted(instances=["chat"], alerts=["Disk"]))[0] is Status.OK
    assert firing(Wanted(instances=["caht"])) == (Status.UNKNOWN, "nothing is known of caht")


def test_an_engine_that_is_gone_is_judged_by_its_alert():
    """While the alert about it fires, an instance that is seen no more is critical."""
    alerts = [alert("Down", "critical", instance_name="chat")]
    assert result(alerts, [], Wanted(instances=["chat"]))[0] is Status.CRITICAL


def test_numbers_have_limits():
    """A number outside its range is a finding; one that is not known is none."""
    limits = {
        "utilization": (Range.parse("70"), Range.parse("90")),
        "headroom": (Range.parse("5000:"), Range.parse("3000:")),
        "queue_wait": (Range.parse("1"), None),
    }
    status, text = result([], [replica()], Wanted(limits=limits))
    assert status is Status.CRITICAL
    lines = text.splitlines()
    assert lines[0].startswith("CRITICAL - chat_headroom is 2000, chat_utilization is 75% | ")
    assert "chat_utilization=75%;70;90;0 " in lines[0]
    assert "chat_headroom=2000;5000:;3000: " in lines[0]
    assert lines[1:] == [
        "[CRITICAL] chat_headroom is 2000 (range 3000:)",
        "[WARNING] chat_utilization is 75% (range 70)",
    ]


def test_replicas_of_one_name_are_told_apart():
    """Ranks of one instance have labels of their own."""
    _status, text = result([], [replica(rank="0"), replica(rank="1")], Wanted())
    assert "chat.big.0_queue=2" in text
    assert "chat.big.1_queue=2" in text


def test_many_alerts_are_counted():
    """Not all of many are named; the rest is a number."""
    status, text = result([alert(f"A{n}", "warning") for n in range(30)], [], Wanted())
    lines = text.splitlines()
    assert status is Status.WARNING
    assert lines[0] == "WARNING - A0, A1, A2 and 27 more"
    assert (len(lines), lines[-1]) == (22, "and 10 more")


words = st.text(max_size=8)


@given(
    st.lists(st.builds(alert, words, st.sampled_from(["critical", "warning", "x"]), summary=words))
)
def test_any_alert_gives_good_output(alerts: list[dict[str, Any]]):
    """Whatever alerts say, the first line has the state and at most one sign of numbers."""
    status, text = result(alerts, [replica()], Wanted())
    first = text.split("\n")[0]
    assert first.startswith(f"{status.name} - ")
    assert text.count("|") == 1
    assert first.count("|") == 1
