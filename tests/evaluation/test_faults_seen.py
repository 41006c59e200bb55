"""What belongs to which fault, and when users were harmed."""

from dataclasses import replace
from typing import Any

from agent.analysis.bottleneck import Targets
from evaluation.faults_client import Asked
from evaluation.faults_page import BEGIN, END, text, write
from evaluation.faults_seen import (
    Injected,
    Told,
    Verdict,
    again,
    ended,
    figures,
    firsts,
    harm,
    told,
)

FAULT = Injected(
    name="engine killed",
    what="`kill -9`",
    began=1000.0,
    over=1100.0,
    until=1200.0,
    right=frozenset({"killed"}),
    wanted=frozenset({"EngineDown"}),
)


def heard(time: float, alert: str, *, stock: bool = False, cause: str = "") -> Told:
    """Return a notification."""
    return Told(
        time=time, alert=alert, stock=stock, severity="critical", summary="words", cause=cause
    )


def failed(moment: float) -> Asked:
    """Return a request that was refused."""
    return Asked(begun=moment, prompt=1, wanted=1, status=500, ended=moment)


def row(**changed: Any) -> dict[str, Any]:
    """Return the figures of the fault."""
    what: dict[str, Any] = {"heard": [], "verdicts": [], "harmed": None, "incidents": []}
    return figures(FAULT, **(what | changed))


def test_harm_takes_several_requests_close_together():
    """One late request is a busy machine; three within ten seconds are harm, from the first on."""
    apart = [failed(1001.0), failed(1020.0), failed(1040.0)]
    assert harm(apart, Targets(), began=1000.0, until=1200.0) is None
    close = [failed(1001.0), failed(1050.0), failed(1052.0), failed(1053.0)]
    assert harm(close, Targets(), began=1000.0, until=1200.0) == 1050.0
    assert harm(close, Targets(), began=1051.0, until=1200.0) is None


def test_an_alert_counts_once_and_in_its_own_time():
    """What began before the fault or after the next is not the fault's; repeats are one."""
    every = [
        heard(999.0, "Before"),
        heard(1010.0, "EngineDown"),
        heard(1003.0, "StockTargetDown", stock=True),
        heard(1050.0, "EngineDown"),
        heard(1200.0, "After"),
    ]
    found = firsts(every, began=1000.0, until=1200.0, stock=False)
    assert [(one.alert, one.time) for one in found] == [("EngineDown", 1010.0)]


def test_notifications_say_who_sent_them_and_what_is_over():
    """Prometheus's alerts carry `from`; a resolved one is over; others are no news."""
    labels = {"alertname": "A", "severity": "info", "cause": "oom_kill", "instance_name": "vllm-1"}
    other = {"alertname": "A", "instance_name": "vllm-2"}
    alerts = [
        {"status": "firing", "labels": other, "annotations": {}},
        {"status": "firing", "labels": labels, "annotations": {"summary": "s"}},
        {"status": "resolved", "labels": {"alertname": "B"}, "annotations": {}},
        {"status": "firing", "labels": {"alertname": "C", "from": "stock"}, "annotations": {}},
    ]
    found = [*told(5.0, {"alerts": alerts}, instance="vllm-1")]
    assert [(one.alert, one.stock, one.cause, one.fires) for one in found] == [
        ("A", False, "oom_kill", True),
        ("B", False, "", False),
        ("C", True, "", True),
    ]


def test_when_an_alert_was_told_as_over():
    """The first time after it began, before the next fault; the end of another is not its."""
    every = [
        replace(heard(1005.0, "EngineDown"), fires=False),
        heard(1010.0, "EngineDown"),
        replace(heard(1060.0, "Other"), fires=False),
        replace(heard(1090.0, "EngineDown"), fires=False),
        heard(1020.0, "LastsOn"),
        replace(heard(1300.0, "LastsOn"), fires=False),
    ]
    alerts = {one["alert"]: one["ended"] for one in row(heard=every)["alerts"]}
    assert alerts == {"EngineDown": 90.0, "LastsOn": None}
    page = text({"faults": [row(heard=every)], "before": BEFORE, "cost": []})
    assert "- 10 s to 90 s: EngineDown" in page
    assert "- 20 s: LastsOn" in page


def test_a_cause_of_death_is_a_verdict_too():
    """The alert that names the cause counts as having said it, when it came."""
    found = row(heard=[heard(1012.0, "EngineDied", cause="killed")])
    assert found["right"] == {"after": 12.0, "cause": "killed", "sentence": "words"}


def test_verdicts_after_the_cause_was_taken_away_do_not_count():
    """Being right once it is over is not being right."""
    late = Verdict(time=1150.0, cause="killed", sentence="s")
    assert row(verdicts=[late])["right"] is None


def test_the_table_says_what_is_missing():
    """Where nothing fired that should, and no verdict was right, the table shows it."""
    page = text({"faults": [row(harmed=1001.0)], "before": BEFORE, "cost": []})
    line = next(line for line in page.splitlines() if line.startswith("| engine killed"))
    assert "**nothing**" in line
    assert "**not right**: unchanged" in line


def test_the_table_says_before_or_after_the_harm():
    """An alert at 10 s with harm at 30 s is 20 s before it; Prometheus at 75 s is 45 s after."""
    every = [heard(1010.0, "EngineDown"), heard(1075.0, "StockTargetDown", stock=True)]
    page = text({"faults": [row(heard=every, harmed=1030.0)], "before": BEFORE, "cost": []})
    assert "EngineDown, 10 s, 20 s before the harm" in page
    assert "StockTargetDown, 75 s, 45 s after the harm" in page


def test_faults_that_were_made_again_take_the_place_of_the_first():
    """The others, and what was before the first fault, are those of the whole run."""
    whole = {"faults": [{**row(), "fault": "a"}, row()], "before": BEFORE, "cost": [], "raw": 1}
    late = row(heard=[heard(1010.0, "EngineDown")])
    found = again(whole, {"faults": [late], "before": {}, "cost": [7], "raw": 2})
    assert [one["fault"] for one in found["faults"]] == ["a", "engine killed"]
    assert found["faults"][1]["alerts"] == late["alerts"]
    assert (found["before"], found["cost"], found["raw"]) == (BEFORE, [], 1)
    assert found["raw_again"] == [2]
    page = text(found)
    assert page.count("Made again in a later run.") == 1


def test_writing_leaves_the_rest_of_the_page(tmp_path: Any):
    """Only what stands between the marks is replaced, however often."""
    page = tmp_path / "page.md"
    page.write_text(f"# Head\n\n{BEGIN}\nold\n{END}\n\nfoot\n")
    found = {"faults": [row()], "before": BEFORE, "cost": []}
    write(found, page=page)
    once = page.read_text()
    write(found, page=page)
    assert page.read_text() == once
    assert once.startswith(f"# Head\n\n{BEGIN}\n")
    assert once.endswith(f"{END}\n\nfoot\n")
    assert "old" not in once


BEFORE = {"seconds": 120.0, "within": 1.0, "alerts": []}


def test_the_end_of_an_earlier_death_is_not_that_of_a_later_one():
    """Both are one alert by its name; what ends is the one of the same cause."""
    hung = heard(1030.0, "EngineDied", cause="hung")
    over = replace(heard(1050.0, "EngineDied", cause="killed"), fires=False)
    assert ended([hung, over], hung, until=1200.0) is None
    assert ended([hung, replace(over, cause="hung")], hung, until=1200.0) == 1050.0
