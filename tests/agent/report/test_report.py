"""Whole reports on a made-up history, in every form, compared with golden ones.

`make golden` writes them anew; look at the difference before you commit it.
"""

import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.analysis.demand.growth import Growth as Line
from agent.app.report import FORMS, make
from agent.config import Settings
from agent.config.settings import Labels
from agent.report.asked import Asked, AskedError
from agent.report.capacity import room_of
from agent.report.report import Report, ReportError
from agent.report.subject import subjects
from tests.agent.report.made_up import DAY, START, demand_at

GOLDEN = Path(__file__).parents[2] / "golden"
SETTINGS = replace(Settings(), labels=Labels(instance="gpu-host:9745"))
NOW = START + 1.25 * DAY
_MOMENTS = {
    "console": "report.txt",
    "markdown": "report.md",
    "csv": "report.csv",
    "json": "report.json",
    "html": "report.html",
}


def made(path: Path, **asked: str) -> Report:
    """Return a report."""
    return make(SETTINGS, Asked(**asked), history=path, now=NOW)


def chat(report: Report) -> dict[str, Any]:
    """Return what a report says of the chat engine."""
    (found,) = (one for one in report.document["subjects"] if one["instance_name"] == "chat")
    return dict(found)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_golden_one(made_up: Path, form: str):
    """To the letter, but for the version of the agent."""
    # Rows and plots of some hours: a day would be as long as it is dull.
    short = {"csv": {"start": "6h"}, "html": {"start": "8h", "instance": "chat"}}
    text = FORMS[form](made(made_up, **short.get(form, {})))
    text = re.sub(r'(inferwatch |"agent_version": ")\d+\.\d+\.\d+', r"\1VERSION", text)
    golden = GOLDEN / _MOMENTS[form]
    if os.environ.get("INFERWATCH_GOLDEN"):
        golden.write_text(text, "utf-8")

    assert text == golden.read_text("utf-8")


def test_the_numbers_are_those_that_were_written(made_up: Path):
    """Peak, when it came, mean, what is known and how it splits: by the wave that was made."""
    load = chat(made(made_up))["load"]

    noon = START + 0.6 * DAY
    assert abs(load["peak"]["start_timestamp_seconds"] - noon) <= 900
    assert load["peak"]["tokens_per_minute"] == pytest.approx(demand_at(noon), rel=0.002)
    times = [NOW - DAY + 60 * minute for minute in range(1, 1440)]
    known = [demand_at(time) for time in times if not NOW - DAY / 4 - 1800 < time <= NOW - DAY / 4]
    assert load["mean_tokens_per_minute"] == pytest.approx(sum(known) / len(known), rel=0.01)
    assert load["prompt_to_generation_ratio"] == pytest.approx(3.0)
    assert load["cached_prompt_share"] == pytest.approx(0.2)
    # Half an hour without the agent, and the window after it; the restart costs nothing.
    assert load["known_seconds"] == pytest.approx(DAY - 1800 - 300, abs=300)


def test_minutes_and_windows_tell_the_same(made_up: Path):
    """Where every sample is kept, minutes add up to what windows of five minutes say."""
    report = made(made_up, start="6h", instance="chat")
    subject = report.sections[0].subject

    minutes = subject.tokens.minute.reshape(-1, 5)
    windows = subject.tokens.five[-len(minutes) :]
    assert len(minutes) > 60
    assert minutes.mean(axis=1)[1:] == pytest.approx(windows[1:], rel=0.01, nan_ok=True)


def test_what_is_not_known_is_null(made_up: Path):
    """The other engine has no histograms, no limits and no capacity: nothing of it is zero."""
    (edge,) = made(made_up, instance="edge").document["subjects"]

    assert edge["latencies"] == {}
    assert edge["verdicts"] == {}
    assert edge["headroom_at_peak"] is None
    assert edge["cost"] is None
    assert not edge["capacity"]["known"]
    assert edge["load"]["requests"] is None
    assert [one["action"] for one in edge["recommendations"]] == ["unknown"]


def test_too_little_room_is_said_first(made_up: Path):
    """The peak is over the lower bound of the capacity while seats are what is short."""
    found = [one["action"] for one in chat(made(made_up))["recommendations"]]

    assert found == ["add_replicas", "raise_sequence_limit"]


def test_an_alert_tells_how_long_it_took(made_up: Path):
    """It waited for five minutes before it fired, and was over twenty minutes later."""
    (alert,) = made(made_up).document["alerts"]

    assert alert["alertname"] == "EngineTimeToFirstTokenHigh"
    assert alert["instance_name"] == "chat"
    # Of this time there are windows of five minutes only.
    assert alert["time_to_detect_seconds"] == pytest.approx(300, abs=300)
    assert alert["time_to_resolve_seconds"] == pytest.approx(1500, abs=600)


def test_two_engines_side_by_side(made_up: Path):
    """The differences are those of the two reports."""
    document = made(made_up, instance="chat", against="edge").document

    (comparison,) = document["against"]["comparisons"]
    figures = {one["key"]: one for one in comparison["figures"]}
    mean = figures["load.mean_tokens_per_minute"]
    assert mean["other"] == pytest.approx(1200)
    assert mean["difference"] == pytest.approx(mean["this"] - 1200)
    assert figures["headroom_at_peak.share"]["difference"] is None
    assert comparison["other"]["instance_name"] == "edge"


def test_two_times_side_by_side(made_up: Path):
    """Six hours against the six before; the first capacity is from the second quarter on."""
    document = made(made_up, start="6h", against="6h", instance="chat").document

    start = document["window"]["start_timestamp_seconds"]
    assert document["against"]["window"]["end_timestamp_seconds"] == start
    assert len(document["against"]["comparisons"]) == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"instance": "nobody"}, "no engine with instance 'nobody'"),
        ({"start": "2020-01-01T00:00Z", "end": "2020-01-02T00:00Z"}, "not a whole window"),
    ],
)
def test_nothing_to_report_is_said(made_up: Path, asked: dict[str, str], message: str):
    """What the history does not hold is an error with a sentence, never an empty report."""
    with pytest.raises(ReportError, match=message):
        made(made_up, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"start": "yesterday"},
        {"end": "soon"},
        {"start": "2027-01-19T00:00Z", "end": "2027-01-18T00:00Z"},
        {"against": "edge"},
        {"against": "2027-01-19T00:00Z/2027-01-18T00:00Z"},
        {"form": "pdf"},
        {"instance": "a\nb"},
    ],
)
def test_what_makes_no_sense_is_refused(made_up: Path, asked: dict[str, str]):
    """Before anything is read."""
    with pytest.raises(AskedError):
        made(made_up, **asked)


class _Page(HTMLParser):
    """Checks that elements are closed in their order, and collects what would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.plots: list[list[str]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        if tag not in {"meta", "link"}:
            self.open.append(tag)
        given = dict(attrs)
        self.loads += [f"{tag} {key}" for key in ("src", "href", "xlink:href") if key in given]
        if "id" in given:
            self.ids.append(given["id"] or "")
        if tag == "svg":
            self.plots.append((given.get("aria-labelledby") or "").split())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element without content; only shapes may be."""
        assert tag in {"path", "rect", "circle"}, attrs

    def handle_endtag(self, tag: str) -> None:
        """Take its end."""
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else(made_up: Path):
    """Its elements are closed, it loads nothing, and each plot has a title and a description."""
    text = FORMS["html"](made(made_up))
    page = _Page()
    page.feed(text)

    assert page.open == []
    assert page.loads == ["link href"]  # of the icon: data:, which is none
    assert "<script" not in text
    assert len(page.plots) >= 10
    assert len(set(page.ids)) == len(page.ids)
    assert {name for plot in page.plots for name in plot} <= set(page.ids)


def test_names_are_no_markup(made_up: Path):
    """Whatever an engine calls itself, the page has the elements that it would have had."""
    report = made(made_up, start="2h", instance="chat")
    plain, evil = _Page(), _Page()
    plain.feed(FORMS["html"](report))
    name = '</title><script>alert(1)</script><img src=x onerror="alert(2)">&amp;\''

    facts = report.sections[0].facts
    facts["instance_name"] = facts["model_name"] = name
    text = FORMS["html"](report)
    evil.feed(text)

    assert (evil.loads, evil.ids, evil.open) == (plain.loads, plain.ids, [])
    assert "<script" not in text
    assert "\\<script\\>" in FORMS["markdown"](report)


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_names_are_no_formulas(made_up: Path, start: str):
    """A spreadsheet takes a name for text."""
    report = made(made_up, start="1h", instance="chat")
    report.sections[0].facts["instance_name"] = f"{start}SUM(A1)"

    assert f",'{start}SUM(A1)," in FORMS["csv"](report)


def test_terminals_are_left_alone(made_up: Path):
    """A name cannot move the cursor of whoever reads the report in a terminal."""
    report = made(made_up, start="1h", instance="chat")
    report.sections[0].facts["instance_name"] = "a\x1b[2Jb\rc"

    assert not set("\x1b\r") & set(FORMS["console"](report))


def test_json_has_a_version_and_no_nan(made_up: Path):
    """Programs can tell the schema, and every number is one."""
    text = FORMS["json"](made(made_up))

    assert json.loads(text)["schema"] == "inferwatch.report/1"
    assert "NaN" not in text
    assert "Infinity" not in text


def test_the_day_it_runs_out_is_drawn(made_up: Path):
    """With growth there is its line, its interval, and the span of days on the lower edge."""
    report = made(made_up, start="2h", instance="chat")
    (section,) = report.sections
    line = Line(40_000.0, 900.0, 100.0, 3, 5, np.array([1.2, 1.3, 1.3, 1.4, 1.5]))
    days = {"estimate": 30.0, "low": 12.0, "high": None}
    grown = replace(section, growth=replace(section.growth, line=line, days=days))

    text = FORMS["html"](replace(report, sections=[grown]))

    for style in ("c-trend", "c-trend-band", "c-when", "c-day"):
        assert f'class="{style}"' in text
    assert "In 30 days (12 days to later), about 2027-02-18." in text


def test_a_model_of_several_instances_is_reported_too(made_up: Path):
    """Demand adds up; the capacity of all is unknown while that of one is."""
    (chat_section,) = made(made_up, start="2h", instance="chat").sections
    (one,) = chat_section.subject.replicas
    other = replace(one, key=one.key._replace(instance_name="second"))

    found = subjects([one, other])

    assert [(subject.kind, len(subject.replicas)) for subject in found] == [
        ("instance", 1), ("instance", 1), ("model", 2),
    ]  # fmt: skip
    whole = found[-1]
    assert whole.tokens.five == pytest.approx(2 * chat_section.subject.tokens.five, nan_ok=True)
    alone = room_of(whole, {one.key: chat_section.room})
    both = room_of(whole, {one.key: chat_section.room, other.key: chat_section.room})
    assert np.isnan(alone.targets.estimate).all()
    assert both.targets.estimate[-1] == pytest.approx(120_000)
