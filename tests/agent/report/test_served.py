"""The report of a host from whoever answers queries: the same as from its own file."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.app.report import FORMS, make, report_on
from agent.app.report_fleet import make_of_host
from agent.catalog.agent import BUILD_INFO
from agent.config import Settings
from agent.model import SourceError
from agent.promql.querier import Embedded
from agent.promql.values import Matrix, Value
from agent.queries.text import value_json
from agent.report.asked import Asked
from agent.report.fleet.report import LATE
from agent.report.grid import Grid
from agent.report.report import History, ReportError
from agent.report.served import Served
from agent.store.five import Part
from agent.store.reader import HistoryReader
from agent.store.series import SeriesSamples
from tests.agent.remote.served import Reply, Request, served
from tests.agent.report.fleet.canned import Canned
from tests.agent.report.made_up import DAY, START, TARGET

END = START + 1.25 * DAY
HOST = TARGET.instance
HOUR = {"start": f"{END - 10_800:.0f}", "end": f"{END - 7200:.0f}"}


def documents(made_up: Path, **asked: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the report of the file, and that of the same file through queries."""
    question = Asked(**HOUR, **asked)
    own = make(Settings(), question, history=made_up, now=END)
    with contextlib.closing(HistoryReader(made_up, TARGET)) as reader:
        served = Served(Embedded(reader), HOST, since=START, until=END)
        full = own.document["window"]["every_sample_since_timestamp_seconds"]
        seen = History(answers=served, first=START, last=END, full_since=full)
        other = report_on(seen, Settings(), question, incidents=None, host=HOST, now=END)
    return own.document, other.document


def test_the_same_is_told(made_up: Path):
    """Load, capacity, headroom, latencies, verdicts and cost of each engine are the file's."""
    own, other = documents(made_up)
    pairs = list(zip(own["subjects"], other["subjects"], strict=True))
    assert [one["instance_name"] for one, _ in pairs] == ["edge", "chat"]
    for one, same in pairs:
        for key in ("mean_tokens_per_minute", "p95_tokens_per_minute", "requests"):
            expected = one["load"][key]
            assert same["load"][key] == (expected and pytest.approx(expected, rel=5e-3))
        for key in ("known", "tokens_per_minute", "binding", "source"):
            assert same["capacity"].get(key) == one["capacity"].get(key)
        assert same["verdicts"] == pytest.approx(one["verdicts"], abs=0.02)
        for timed, told in one["latencies"].items():
            found = same["latencies"][timed]["p95_seconds"]
            assert found == pytest.approx(told["p95_seconds"], rel=0.02)
        assert (same["cost"] is None) is (one["cost"] is None)
        assert same["limits"] == one["limits"]


def test_alerts_are_those_of_the_host(made_up: Path):
    """What fired, and when, is found without the markers that end a series."""
    own, other = documents(made_up)
    assert {one["alertname"] for one in other["alerts"]} == {
        one["alertname"] for one in own["alerts"]
    }


DOWN = "receive series from Addr: 10.0.0.7:10901: rpc error: code = Unavailable"
NOW = END + LATE + 300.0


@contextlib.contextmanager
def serving(made_up: Path, **beside: object) -> Iterator[str]:
    """Serve the made-up history over the Prometheus API; `beside` stands beside each answer."""
    with contextlib.closing(HistoryReader(made_up, TARGET)) as reader:
        querier = Embedded(reader)

        def answer(request: Request) -> Reply:
            text, form = request.form["query"], request.form
            if BUILD_INFO.name in text:  # the file has none
                text = f"(vector(time()) > {START:.0f}) < {END + DAY:.0f}"
            value: Value
            if request.path.endswith("_range"):
                times = (float(form[name]) for name in ("start", "end", "step"))
                value = querier.range(text, *times)
            else:
                value = querier.instant(text, float(form["time"]))
            data = json.loads("".join(value_json(value, round(float(form.get("time", 0)) * 1000))))
            return Reply(json.dumps({"status": "success", "data": data, **beside}).encode())

        with served(answer) as url:
            yield url


@pytest.mark.parametrize(
    ("beside", "why"), [({"warnings": [DOWN]}, DOWN), ({"isPartial": True}, "isPartial: ")]
)
def test_answers_that_are_not_whole_are_said(made_up: Path, beside: dict[str, Any], why: str):
    """A store of Thanos or a node of VictoriaMetrics that is away is in every form but CSV."""
    with serving(made_up, **beside) as url:
        found = make_of_host(Settings(), Asked(**HOUR), url=url, host=HOST, now=NOW)
    (missing,) = found.document["missing"]
    assert missing.startswith(f"the server did not answer in full: {why}")
    for form in ("console", "markdown", "html"):
        assert f"Missing: {missing}." in " ".join(FORMS[form](found).split())
    assert json.loads(FORMS["json"](found))["missing"] == [missing]


def test_nothing_is_missing_from_answers_that_are_whole(made_up: Path):
    """Then the report does not speak of it, and it is that of the file."""
    with serving(made_up) as url:
        found = make_of_host(Settings(), Asked(**HOUR), url=url, host=HOST, now=NOW)
    assert found.document["missing"] == []
    assert "Missing" not in FORMS["console"](found)


def test_a_host_that_may_be_what_is_missing_is_said_so(made_up: Path):
    """Nothing to report, of a server that did not answer in full, is no proof."""
    with (
        serving(made_up, warnings=[DOWN]) as url,
        pytest.raises(ReportError, match=r"no engine .*; the server did not answer in full: rec"),
    ):
        make_of_host(Settings(), Asked(**HOUR, instance="x"), url=url, host=HOST, now=NOW)


def test_a_time_long_past_is_found(made_up: Path):
    """With `--from` and `--to` of a year ago the host is looked for then, not now."""
    with serving(made_up) as url:
        soon = make_of_host(Settings(), Asked(**HOUR), url=url, host=HOST, now=NOW).document
        late = make_of_host(
            Settings(), Asked(**HOUR), url=url, host=HOST, now=NOW + 365 * DAY
        ).document
    assert late["window"] == soon["window"]
    assert late["subjects"] == soon["subjects"]


def test_months_that_are_refused_cost_the_growth_alone(made_up: Path):
    """A server that breaks off where it is asked about the months before still tells the hour."""
    with contextlib.closing(HistoryReader(made_up, TARGET)) as reader:

        class Short(Embedded):
            """Gives a day at most."""

            def range(self, text: str, start: float, end: float, step: float) -> Matrix:
                """Answer."""
                if end - start > DAY:
                    raise SourceError("Server disconnected")
                return super().range(text, start, end, step)

        answers = Served(Short(reader), HOST, since=START, until=END)
        seen = History(answers=answers, first=START, last=END, full_since=None)
        found = report_on(
            seen, Settings(), Asked(**HOUR), incidents=None, host=HOST, now=END
        ).document
    own, _other = documents(made_up)
    assert found["missing"] == ["the growth, from the 1 days before the end: Server disconnected"]
    for one, same in zip(found["subjects"], own["subjects"], strict=True):
        mean = same["load"]["mean_tokens_per_minute"]
        assert one["load"]["mean_tokens_per_minute"] == (mean and pytest.approx(mean, rel=5e-3))


def test_only_the_host_is_asked_about():
    """Each question has the host's label, whatever the selector has besides."""
    canned = Canned(lambda _text: [], kept=300.0)
    served = Served(canned, 'a"b', since=0.0, until=600.0)
    served.ask('x{a="1"}', Grid(0.0, 300.0, 2), Part.MEAN)
    served.ask("x{}", Grid(0.0, 60.0, 2))
    served.known("x")
    served.samples("ALERTS", 0.0, 600.0)
    assert canned.asked == [
        'avg_over_time(x{instance="a\\"b",a="1"}[4m59s])',
        'x{instance="a\\"b",}',
        'count(last_over_time(x{instance="a\\"b",}[600s]))',
        'ALERTS{instance="a\\"b",}[600s]',
    ]
    assert served.known("x") is False


@pytest.mark.parametrize("days", [0.004, 1.0, 1.5, 91.0, 200.3])
@pytest.mark.parametrize("aligned", [False, True])
def test_no_question_reaches_back_over_a_day_at_once(days: float, *, aligned: bool):
    """Servers limit how far one selector may: what is asked holds all the time there is.

    Thanos' query frontend puts ranges back to multiples of their step.
    """
    asked: list[tuple[float, float]] = []
    end = 20_000.7 * DAY

    class Noting(Canned):
        """Answers and keeps the spans that selectors cover."""

        def instant(self, text: str, time: float) -> Value:
            """Answer."""
            asked.append((time - _length(text), time))
            return super().instant(text, time)

        def range(self, text: str, start: float, end: float, step: float) -> Matrix:
            """Answer."""
            if aligned:
                start, end = start // step * step, end // step * step
            count = int((end - start) / step + 1e-6) + 1
            times = [start + number * step for number in range(count)]
            asked.extend((time - _length(text), time) for time in times)
            return super().range(text, start, end, step)

    silent = Served(Noting(lambda _text: [], kept=300.0), "h", since=end - days * DAY, until=end)
    assert not silent.known("x")
    seen = end
    for start, until in sorted(asked, reverse=True):
        assert until - start <= DAY
        assert until >= seen
        seen = min(seen, start)
    assert seen <= end - days * DAY
    asked.clear()
    found = Noting(lambda _text: [({}, 1.0)], kept=300.0)
    assert Served(found, "h", since=end - days * DAY, until=end).known("x")
    assert len(asked) == 1  # a host that is there is found on its last day


def _length(text: str) -> float:
    """Return the seconds of the only selector in a query."""
    return float(text.partition("[")[2].partition("s]")[0])


def test_what_was_not_asked_for_is_left_out():
    """Times outside the grid, and what is no number, make no cell, whatever a server answers."""

    class Odd(Canned):
        """Answers with times of its own."""

        def range(self, text: str, start: float, end: float, step: float) -> Matrix:
            """Answer."""
            times = [start - step, start, start + step, end, end + step]
            values = [1.0, 2.0, math.inf, 4.0, 5.0]
            return Matrix([SeriesSamples((("a", text),), times, values)])

    served = Served(Odd(lambda _text: [], kept=1.0), "h", since=0.0, until=1.0)
    (found,) = served.ask("x", Grid(0.0, 60.0, 3))
    np.testing.assert_equal(found.values, [2.0, np.nan, 4.0])
    np.testing.assert_equal(found.times, [60.0, np.nan, 180.0])


def test_no_cell_no_question():
    """Of a time that has no minutes none are asked for."""
    canned = Canned(lambda _text: [], kept=300.0)
    assert Served(canned, "h", since=0.0, until=1.0).ask("x", Grid(0.0, 60.0, 0)) == []
    assert canned.asked == []
