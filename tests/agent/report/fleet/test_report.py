"""A report of a fleet from what is answered, the odd answers included."""

import csv
import io
import json
from typing import Any

import pytest

from agent.analysis.bottleneck import Targets
from agent.app.report_fleet import FORMS, Fleet, make, window_for
from agent.config import Settings
from agent.model import InferwatchError, SourceError
from agent.promql.errors import EvaluationError
from agent.promql.values import Matrix
from agent.report.asked import Asked, AskedError
from agent.report.fleet import names
from agent.report.fleet.report import Wanted, build
from agent.report.fleet.scope import By, Part
from agent.report.report import Report, ReportError, Window
from tests.agent.remote.served import Reply, Request, served
from tests.agent.report.fleet.canned import Canned, Told

END = 1_780_056_000.0


def told(values: dict[str, list[tuple[dict[str, str], float]]]) -> Told:
    """Return answers by the recorded name that a query is mainly about: the first in it."""

    def answer(text: str) -> list[tuple[dict[str, str], float]]:
        found = min(((text.index(name), name) for name in values if name in text), default=(0, ""))[
            1
        ]
        return values.get(found, [])

    return answer


def group(name: str, value: float, **further: str) -> tuple[dict[str, str], float]:
    """Return the sum of a model."""
    return {"model_name": name, "engine": "vllm", **further}, value


def report(
    answers: Told, part: Part | None = None, *, hours: float = 1.0, kept: float = 86_400.0
) -> Report:
    """Return a report on the time before `END`."""
    return build(
        Canned(answers, kept=kept),
        Wanted(
            part=part or Part(),
            window=Window(start=END - hours * 3600, end=END),
            targets=lambda _model: Targets(),
            told={"server": "s", "generated_timestamp_seconds": END, "agent_version": "0"},
        ),
    )


FULL = {
    names.HOSTS: [({}, 4.0)],
    names.REPLICAS: [group("a", 4.0), group("b", 2.0)],
    names.CAPACITY_REPLICAS: [group("a", 3.0), group("b", 0.5)],
    names.TOKENS: [group("a", 6000.0), group("b", 600.0)],
    names.DEMAND: [group("a", 12_000.0), group("b", 1200.0)],
    names.CAPACITY: [
        group("a", 40_000.0, bound="low"),
        group("a", 50_000.0, bound="estimate"),
        group("a", 60_000.0, bound="high"),
        group("b", 900.0, bound="low"),
        group("b", 900.0, bound="estimate"),
    ],
    names.RUNNING: [group("a", 8.0), group("b", 1.0)],
    names.WAITING: [group("a", 0.0), group("b", 0.0)],
    names.VERDICT: [
        group("a", 3.0, cause="healthy"),
        group("a", 1.0, cause="host_cpu"),
        group("b", 2.0, cause="idle"),
    ],
}


def subjects(found: Report) -> dict[str, dict[str, Any]]:
    """Return the groups by name."""
    return {one["model_name"] or one["instance_name"]: one for one in found.document["subjects"]}


def test_a_verdict_has_its_share_of_the_replicas_time():
    """Of four replicas one had too little CPU: a quarter of their time; of all six, a sixth."""
    groups = subjects(report(told(FULL)))
    assert groups["a"]["verdicts"] == {"healthy": 0.75, "host_cpu": 0.25}
    assert groups["the whole fleet"]["verdicts"]["host_cpu"] == pytest.approx(1 / 6)


def test_capacity_is_not_guessed_from_less_than_half():
    """Known of a quarter of b's replicas it is not known; of three of a's four it is."""
    groups = subjects(report(told(FULL)))
    assert groups["a"]["capacity"]["tokens_per_minute"]["low"] == pytest.approx(40_000.0, rel=0.4)
    assert not groups["b"]["capacity"]["known"]
    assert groups["b"]["recommendations"][0]["action"] == "unknown"


def test_the_busiest_come_first():
    """After the whole, groups are in the order of their peaks."""
    found = report(told(FULL)).document["subjects"]
    assert [one["kind"] for one in found] == ["fleet", "model", "model"]
    assert [one["model_name"] for one in found[1:]] == ["a", "b"]


def test_a_rule_that_is_missing_is_said():
    """What is recorded wherever there are replicas and is not there names the file to load."""
    found = report(told({key: value for key, value in FULL.items() if key != names.VERDICT}))
    (sentence,) = found.document["missing"]
    assert names.VERDICT in sentence
    assert names.RULES in sentence
    assert f"Missing: {sentence}" in FORMS["console"](found)


def test_an_answer_that_is_not_whole_is_said():
    """Thanos without one of its stores answers all the same: the sums are too small, and say so."""

    def answer(request: Request) -> Reply:
        result: list[Any] = []
        if names.REPLICAS in request.form["query"]:
            time = float(request.form.get("start", END))
            result = [{"metric": {"model_name": "a", "engine": "vllm"}, "values": [[time, "1"]]}]
        ranged = request.path.endswith("range")
        data = {"resultType": "matrix" if ranged else "vector", "result": result if ranged else []}
        told = {"status": "success", "data": data, "warnings": ["store <b> is down"]}
        return Reply(json.dumps(told).encode())

    with served(answer) as url:
        found = make(Settings(), Asked(start="1h"), Fleet(url=url), now=END)
    assert found.document["missing"][-1] == "the server did not answer in full: store <b> is down"
    assert "Missing: the server did not answer in full: store" in FORMS["console"](found)
    assert "<b>" not in FORMS["html"](found)


@pytest.mark.parametrize("able", [0.0, 3.0])
def test_a_capacity_of_none_is_not_known(able: float):
    """Sums of which a part is lost do not fit together: no capacity is made of nothing."""
    lost = {**FULL, names.REPLICAS: [group("a", 0.0)], names.CAPACITY_REPLICAS: [group("a", able)]}
    assert subjects(report(told(lost)))["a"]["capacity"]["known"] is False


def test_what_is_missing_is_not_zero():
    """With replicas and nothing else every figure is null, and every form says so."""
    found = report(told({names.REPLICAS: [group("a", 1.0)]}))
    one = subjects(found)["a"]
    assert one["load"]["peak"] is None
    assert one["capacity"]["known"] is False
    assert one["cost"] is None
    assert found.document["hosts"] is None
    for form in FORMS.values():
        assert form(found)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({}, "no series of an agent"),
        ({"inferwatch_build_info": [({}, 3.0)]}, "3 agents, but not .*fleet.yml"),
    ],
)
def test_why_there_is_nothing(answers: dict[str, Any], why: str):
    """Agents without the rules, or no agents: the message says which."""
    with pytest.raises(ReportError, match=why):
        report(told(answers))


def test_a_long_time_is_not_reckoned_by_the_minute():
    """Beyond two days no minute is asked for, and the report says so."""
    found = report(told(FULL), hours=72)
    assert found.document["window"]["every_sample_since_timestamp_seconds"] is None
    assert "five minutes" in FORMS["console"](found)


def test_growth_is_foreseen_from_the_recorded_past():
    """Demand that is the same for thirteen weeks does not grow, and that is known."""
    (one,) = (
        item
        for item in report(told(FULL), kept=91 * 86_400.0).document["subjects"]
        if item["model_name"] == "a"
    )
    assert one["growth"]["maturity"] == "weeks"
    assert one["growth"]["share_per_week"]["estimate"] == pytest.approx(0.0, abs=1e-6)


def test_no_host_is_asked_for():
    """Nothing that is asked of the server is raw: each query names what rules record."""
    canned = Canned(told(FULL), kept=86_400.0)
    build(
        canned,
        Wanted(
            part=Part(by=By.CLUSTER, clusters=("x",), cluster_label="site"),
            window=Window(start=END - 3600, end=END),
            targets=lambda _model: Targets(),
            told={"server": "s", "generated_timestamp_seconds": END, "agent_version": "0"},
        ),
    )
    assert len(canned.asked) < 45
    for text in canned.asked:
        assert "inferwatch:fleet_" in text
        assert "inferwatch_" not in text
        assert 'site=~"x"' in text


def test_twenty_groups_are_told_in_full_and_all_are_listed():
    """A page of hundreds of models would be read by nobody; the table and rows have them all."""
    many = [group(f"m{number:03d}", 1000.0 - number) for number in range(60)]
    found = report(told({names.REPLICAS: many, names.TOKENS: many}))
    text = FORMS["console"](found)
    assert "20 busiest of 60" in text
    assert "model m019, " in text
    assert "model m020, " not in text
    assert "m059" in text
    rows = list(csv.DictReader(io.StringIO(FORMS["csv"](found))))
    assert len({row["subject"] for row in rows}) == 61
    assert len(json.loads(FORMS["json"](found))["subjects"]) == 61


def test_names_from_outside_stay_text():
    """What a server calls a model is text in every form, whatever it holds."""
    evil = "<script>|`\x1b[31m"
    found = report(told({names.REPLICAS: [group(evil, 1.0)], names.TOKENS: [group(evil, 5.0)]}))
    assert "<script>" not in FORMS["html"](found)
    assert "\x1b" not in FORMS["console"](found) + FORMS["markdown"](found)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"start": "93d"}, "at most 92 days"),
        ({"start": "1m"}, "five minutes before the end"),
        ({"end": "2100-01-01", "start": "2099-01-01"}, "five minutes before the end"),
        ({"start": "yesterday"}, "expected a time such as"),
        ({"start": "nan"}, "expected a time such as"),
        ({"end": "1795249260000"}, "expected a time such as"),
    ],
)
def test_a_time_that_makes_no_sense_is_refused(asked: dict[str, str], why: str):
    """Too long, too short, still to come, or no time at all."""
    with pytest.raises(AskedError, match=why):
        window_for(Asked(**asked), END)


def test_the_newest_that_the_rules_have_seen_is_the_end():
    """A minute before now, rounded down to five minutes of the clock; a day before it begins."""
    window = window_for(Asked(), END + 59.0)
    assert window == Window(start=END - 300 - 86_400, end=END - 300)
    assert window_for(Asked(), END + 60.0).end == END


@pytest.mark.parametrize("asked", [{"instance": "chat"}, {"against": "7d"}])
def test_what_is_of_one_host_is_refused_by_name(asked: dict[str, str]):
    """An option that a fleet does not have is named."""
    with pytest.raises(AskedError, match=f"--{next(iter(asked))}: not of a fleet"):
        make(Settings(), Asked(**asked), Fleet(url="http://127.0.0.1:1"), now=END)


def test_no_past_is_no_growth():
    """Where nothing that is recorded has a value, growth is not known, and nothing fails."""
    nothing = {**FULL, names.TOKENS: [group("a", float("nan"))]}
    one = subjects(report(told(nothing)))["a"]
    assert one["growth"]["share_per_week"] is None
    assert one["load"]["known_seconds"] == 0.0


def test_a_name_that_is_left_to_a_mean_changes_nothing():
    """VictoriaMetrics names what `avg_over_time` gives and not what `count_over_time` gives."""
    labels = {"kind": "load", "instance": "a:9745", "instance_name": "x", "model_name": "a"}

    def answer(text: str) -> list[tuple[dict[str, str], float]]:
        if names.OUTLIER not in text:
            return told(FULL)(text)
        if text.startswith("avg_over_time"):
            return [({**labels, "__name__": names.OUTLIER}, 1.5)]
        return [(labels, 60.0)]

    (found,) = report(answer).document["outliers"]
    assert found["ratio"] == 1.5


@pytest.mark.parametrize("error", [EvaluationError("too long"), SourceError("Server disconnected")])
def test_months_that_are_refused_cost_the_growth_alone(error: InferwatchError):
    """A server may refuse to look back 91 days: the report on the window is told, and why."""

    class Short(Canned):
        """Gives two days at most."""

        def range(self, text: str, start: float, end: float, step: float) -> Matrix:
            """Answer."""
            if end - start > 2 * 86_400.0:
                raise error
            return super().range(text, start, end, step)

    wanted = Wanted(
        part=Part(),
        window=Window(start=END - 3600, end=END),
        targets=lambda _model: Targets(),
        told={"server": "s", "generated_timestamp_seconds": END, "agent_version": "0"},
    )
    found = build(Short(told(FULL), kept=86_400.0), wanted)
    whole = build(Canned(told(FULL), kept=86_400.0), wanted)
    (missing,) = set(found.document["missing"]) - set(whole.document["missing"])
    assert missing == f"the growth, from the 91 days before the end: {error}"
    for one, same in zip(found.document["subjects"], whole.document["subjects"], strict=True):
        assert one["load"] == same["load"]
        assert one["growth"]["why_not_foreseen"] == "growth is not known yet"
    for form, write in FORMS.items():
        assert "csv" in form or str(error) in write(found)
