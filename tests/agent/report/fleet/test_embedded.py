"""The same questions, asked of the history of one host: a fleet of one."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.app.report import make
from agent.app.targets import targets_of
from agent.config import Settings
from agent.promql.querier import Embedded
from agent.report.asked import Asked
from agent.report.fleet import names
from agent.report.fleet.report import Wanted, build
from agent.report.fleet.scope import By, Part
from agent.report.report import ReportError, Window
from agent.store.reader import HistoryReader
from agent.store.series import Labels, Matcher, SeriesSamples, satisfies
from tests.agent.report.made_up import DAY, START, TARGET

RULES = Path(__file__).parents[4] / names.RULES
END = START + 1.25 * DAY
WINDOW = Window(start=END - 7200.0, end=END - 3600.0)
MODEL = "org/chat-7b"


class Recorded:
    """A history, and what rules made of it.

    Args:
        history: of the host.
    """

    def __init__(self, history: HistoryReader) -> None:
        self._history = history
        self.series: dict[Labels, tuple[list[float], list[float]]] = {}

    def select(self, matchers: Sequence[Matcher], start: float, end: float) -> list[SeriesSamples]:
        """Return series of both."""
        found = list(self._history.select(matchers, start, end))
        for labels, (times, values) in self.series.items():
            if satisfies(labels, matchers):
                inside = [place for place, time in enumerate(times) if start < time <= end]
                if inside:
                    samples = [[column[place] for place in inside] for column in (times, values)]
                    found.append(SeriesSamples(labels, *samples))
        return found

    def record(self, start: float, end: float) -> None:
        """Evaluate the rules of a fleet each minute, as their file has them."""
        here = Embedded(self)
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                made: defaultdict[Labels, tuple[list[float], list[float]]] = defaultdict(
                    lambda: ([], [])
                )
                for one in here.range(rule["expr"], start, end, 60.0).series:
                    pairs = {**dict(one.labels), **rule.get("labels", {})}
                    pairs["__name__"] = rule["record"]
                    times, values = made[tuple(sorted(pairs.items()))]
                    times += one.times
                    values += one.values
                self.series.update(made)


@pytest.fixture(scope="module")
def history(made_up: Path) -> Iterator[Recorded]:
    """The made-up host with an hour and a half of what rules record."""
    with contextlib.closing(HistoryReader(made_up, TARGET)) as reader:
        found = Recorded(reader)
        found.record(WINDOW.start - 600.0, WINDOW.end)
        yield found


def report(history: Recorded, part: Part, window: Window = WINDOW) -> list[dict[str, Any]]:
    """Return the groups of a report."""
    wanted = Wanted(
        part=part,
        window=window,
        targets=targets_of(Settings().targets),
        told={"server": "here", "generated_timestamp_seconds": END, "agent_version": "0"},
    )
    found: list[dict[str, Any]] = build(Embedded(history), wanted).document["subjects"]
    return found


def test_a_fleet_of_one_is_the_host(history: Recorded, made_up: Path):
    """Load, capacity, verdicts and cost are those of the report of the host itself.

    Not latencies: of histograms the history on disk keeps one sample in five minutes, and a rate
    over five minutes needs two.
    """
    found = {one["model_name"]: one for one in report(history, Part(by=By.MODEL))}
    asked = Asked(start=f"{WINDOW.start:.0f}", end=f"{WINDOW.end:.0f}", instance="chat")
    (own,) = make(Settings(), asked, history=made_up, now=END).document["subjects"]
    chat = found[MODEL]
    for key in ("mean_tokens_per_minute", "p95_tokens_per_minute"):
        assert chat["load"][key] == pytest.approx(own["load"][key], rel=0.01)
    peak = own["load"]["peak"]["tokens_per_minute"]
    assert chat["load"]["peak"]["tokens_per_minute"] == pytest.approx(peak, rel=0.01)
    for key in ("estimate", "low", "high"):
        able = own["capacity"]["tokens_per_minute"][key]
        assert chat["capacity"]["tokens_per_minute"][key] == pytest.approx(able)
    assert chat["capacity"]["binding"] == own["capacity"]["binding"]
    held = {cause: share for cause, share in chat["verdicts"].items() if share}
    expected = {cause: share for cause, share in own["verdicts"].items() if share}
    assert held == pytest.approx(expected, abs=0.03)
    assert chat["cost"]["per_hour"] == pytest.approx(own["cost"]["per_hour"])


def test_what_no_host_tells_is_not_known(history: Recorded):
    """Without GPUs and without a label of a cluster there is a group for that, and no zero."""
    (whole, one) = report(history, Part(by=By.CLUSTER))
    assert (whole["kind"], one["kind"]) == ("fleet", "cluster")
    assert one["instance_name"] == "without cluster"
    assert one["gpus"] == {
        "count": None, "busy_share": None, "memory_used_share": None, "power_watts": None,
    }  # fmt: skip
    (_whole, gpu) = report(history, Part(by=By.GPU))
    assert gpu["instance_name"] == "unknown"
    assert gpu["recommendations"] == []


def test_a_time_without_records_has_no_report(history: Recorded):
    """Before the rules were loaded nothing is recorded, and that is what is said."""
    before = Window(start=START + 3600.0, end=START + 7200.0)
    with pytest.raises(ReportError, match="no series of an agent"):
        report(history, Part(), before)
