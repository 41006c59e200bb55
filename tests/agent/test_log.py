"""The log: one line for each change of state, in a form for whoever reads it."""

import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.config.settings import LogFormat, Logging, LogLevel
from agent.log import EVENTS_AT_ONCE, QUIET_SECONDS, ChangeLog, configure_logging
from agent.model import EMPTY_READING, Event, Look

UP = Look(source="a", duration=0.1, reading=EMPTY_READING)
DOWN = Look(source="a", duration=0.1, error="connection refused")
ABSENT = Look(source="a", duration=0.1, error="no driver", unavailable=True)


class _Terminal(io.StringIO):
    """A stream that says that a person reads it."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class _Full(io.StringIO):
    """A stream that takes nothing."""

    def write(self, text: str, /) -> int:
        """Refuse."""
        raise OSError(28, "No space left on device", text)


def _configured(chosen: LogFormat, level: LogLevel = LogLevel.INFO) -> io.StringIO:
    """Return a stream that the log writes to."""
    stream = io.StringIO()
    configure_logging(Logging(level=level, format=chosen), stream)
    return stream


def _json_lines(stream: io.StringIO) -> list[dict[str, object]]:
    """Return what was written, line by line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_has_a_log_of_its_own(run: int):
    """What one test sets up is gone in the next: it may write to what was closed meanwhile."""
    assert not structlog.is_configured(), run
    _configured(LogFormat.JSON)


def _told(looks: list[tuple[float, Look]]) -> list[tuple[object, object, object]]:
    """Return sentence, reason and number of changes left out of each line about these looks."""
    stream = _configured(LogFormat.JSON)
    log = ChangeLog()
    for time, look in looks:
        log.source("a", look, time)
    return [
        (line["event"], line.get("reason"), line.get("changes_left_out"))
        for line in _json_lines(stream)
    ]


def test_one_line_for_each_change_of_state():
    """However often a state is seen, it is told once; a change is told at once, with its reason."""
    looks = [UP] * 5 + [DOWN] * 5 + [ABSENT] * 5 + [UP]
    times = [100.0 * index for index in range(len(looks))]
    assert _told(list(zip(times, looks, strict=True))) == [
        ("source a is up", None, None),
        ("source a is down", "connection refused", None),
        ("source a is not on this host", "no driver", None),
        ("source a is up", None, None),
    ]


def test_a_source_that_dies_soon_after_the_start_is_told_at_once():
    """The limit is for what comes and goes; the first change is told though it comes early."""
    assert _told([(0.0, UP), (1.0, DOWN)])[-1] == ("source a is down", "connection refused", None)


def test_a_state_that_lasts_is_told_in_the_end():
    """A change that fell into the quiet time is told when that is over, if it still stands."""
    looks = [(0.0, DOWN), (1.0, UP), *((float(second), DOWN) for second in range(2, 40))]
    assert _told(looks) == [
        ("source a is down", "connection refused", None),
        ("source a is up", None, None),
        ("source a is down", "connection refused", None),
    ]


def test_flapping_is_limited_and_counted():
    """A source that changes each second gives few lines, which say how many they stand for."""
    looks = [(float(second), DOWN if second % 2 else UP) for second in range(301)]
    told = _told(looks)
    assert len(told) <= 2 * (300 / QUIET_SECONDS + 1)
    left_out = sum(int(str(line[2] or 0)) for line in told)
    assert left_out + len(told) in (300, 301)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 5.0, 29.0, 31.0]), st.sampled_from([UP, DOWN, ABSENT])),
        min_size=1,
        max_size=60,
    )
)
def test_the_last_line_tells_how_it_is(steps: list[tuple[float, Look]]):
    """Whatever happened, the log ends with the present state once that has lasted a while."""
    now, looks = 0.0, []
    for gap, look in steps:
        now += gap
        looks.append((now, look))
    looks.append((now + QUIET_SECONDS, steps[-1][1]))
    words = {UP: "up", DOWN: "down", ABSENT: "not on this host"}
    names = {id(look): word for look, word in ((UP, "up"), (DOWN, "down"), (ABSENT, words[ABSENT]))}
    assert _told(looks)[-1][0] == f"source a is {names[id(steps[-1][1])]}"


def test_a_clock_set_back_does_not_silence_the_log():
    """When the wall clock goes back an hour, changes are told all the same."""
    looks = [(7200.0, UP), (7201.0, DOWN), (3600.0, UP)]
    assert [line[0] for line in _told(looks)][-1] == "source a is up"


def test_exporters_are_told_when_they_fail_and_when_they_work_again():
    """An exporter that works from the start is not worth a line; its failure and return are."""
    stream = _configured(LogFormat.JSON)
    log = ChangeLog()
    for time, error in enumerate(["", "", "disk full", "disk full", ""]):
        log.exporter("spool", error, 100.0 * time)
    assert [(line["event"], line["level"]) for line in _json_lines(stream)] == [
        ("exporter spool is down", "warning"),
        ("exporter spool is up", "info"),
    ]


def test_a_log_that_cannot_be_written_stops_nothing():
    """A full disk behind the log is no reason to stop watching."""
    configure_logging(Logging(format=LogFormat.JSON), _Full())
    ChangeLog().source("a", DOWN, 1.0)
    ChangeLog().events([XID], 1.0)


def test_another_reason_is_told():
    """A source that stays down for another reason than before says so, within the limit."""
    other = replace(DOWN, error="401 Unauthorized")
    looks = [(0.0, DOWN), (1.0, other), (2.0, DOWN), (40.0, other), (41.0, other), (80.0, DOWN)]
    assert _told(looks) == [
        ("source a is down", "connection refused", None),
        ("source a is down", "401 Unauthorized", 2),
        ("source a is down", "connection refused", None),
    ]


XID = Event(1.0, "xid", "kernel_log", {"gpu": "0", "code": "79"}, "fell off the bus")


def _events(*ticks: tuple[float, list[Event]]) -> list[dict[str, object]]:
    """Return the lines about events, without the time."""
    stream = _configured(LogFormat.JSON)
    log = ChangeLog()
    for time, events in ticks:
        log.events(events, time)
    return [{**line, "time": ""} for line in _json_lines(stream)]


def test_news_is_no_warning():
    """A change of verdict may be for the better; what is bad about it is an alert's to say."""
    changed = Event(
        1.0, "verdict_changed", "analysis", {"cause": "healthy"}, "chat: idle → healthy"
    )
    assert [line["level"] for line in _events((1.0, [changed, XID]))] == ["info", "warning"]


def test_events_are_told_with_what_they_are_about():
    """Each event is one line: its sentence, kind, source and labels."""
    bare = Event(2.0, "reload", "agent")
    assert _events((1.0, [XID]), (2.0, []), (3.0, [bare])) == [
        {
            "event": "fell off the bus",
            "level": "warning",
            "kind": "xid",
            "source": "kernel_log",
            "labels": {"gpu": "0", "code": "79"},
            "time": "",
        },
        {"event": "reload", "level": "warning", "kind": "reload", "source": "agent", "time": ""},
    ]


def test_a_storm_of_events_is_limited_and_counted():
    """Of one kind only so many are told at a time; the rest is one number, told when it is over."""
    other = replace(XID, kind="oom_kill", message="killed")
    lines = _events((0.0, [XID] * 50), (1.0, [XID, other]), (40.0, []), (41.0, [XID]))
    told = [line["event"] for line in lines]
    assert told == [
        *["fell off the bus"] * EVENTS_AT_ONCE,
        "killed",
        "more events of one kind were not told",
        "fell off the bus",
    ]
    assert (lines[-2]["kind"], lines[-2]["left_out"]) == ("xid", 51 - EVENTS_AT_ONCE)


def test_events_after_a_clock_was_set_back_are_told():
    """When the wall clock goes back an hour, events are told all the same."""
    assert len(_events((7200.0, [XID] * 50), (3600.0, [XID]))) == EVENTS_AT_ONCE + 2


def test_json_lines():
    """Each line is one JSON object with time, level and sentence, whatever stands in it."""
    stream = _configured(LogFormat.JSON)
    structlog.get_logger().warning("two\nlines", reason='"quoted" \udcff', other=b"bytes")
    (line,) = _json_lines(stream)
    assert line["event"] == "two\nlines"
    assert line["level"] == "warning"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", str(line["time"]))


@pytest.mark.parametrize(
    ("method", "prefix"), [("debug", "<7>"), ("info", "<6>"), ("warning", "<4>"), ("error", "<3>")]
)
def test_journald_lines(method: str, prefix: str):
    """For journald each entry is one line that begins with its syslog level."""
    stream = _configured(LogFormat.JOURNALD, LogLevel.DEBUG)
    getattr(structlog.get_logger(), method)("source a\nis down", reason="no\nroute")
    assert stream.getvalue() == f"{prefix}source a | is down reason='no\\nroute'\n"


@pytest.mark.parametrize("chosen", [LogFormat.JSON, LogFormat.JOURNALD, LogFormat.CONSOLE])
def test_exceptions_are_written(chosen: LogFormat):
    """A traceback is in the log in every format; machines get it on one line."""
    stream = _configured(chosen)
    try:
        int("of this kind")
    except ValueError:
        structlog.get_logger().exception("unexpected")
    assert "of this kind" in stream.getvalue()
    if chosen is not LogFormat.CONSOLE:
        assert stream.getvalue().count("\n") == 1


def test_level():
    """Lines below the level are not written."""
    stream = _configured(LogFormat.JSON, LogLevel.WARNING)
    structlog.get_logger().info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in _json_lines(stream)] == ["yes"]


def test_auto_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Left to itself, the log suits its reader: a person, journald, or a collector of JSON."""
    terminal = _Terminal()
    configure_logging(Logging(), terminal)
    structlog.get_logger().info("hello", answer=1)
    assert "hello" in terminal.getvalue()
    assert not terminal.getvalue().startswith(("{", "<"))
    with (tmp_path / "log").open("w") as file:
        status = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure_logging(Logging(), file)
        structlog.get_logger().info("to journald")
        monkeypatch.setenv("JOURNAL_STREAM", "1:1")
        configure_logging(Logging(), file)
        structlog.get_logger().info("to a file")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0] == "<6>to journald"
    assert json.loads(lines[1])["event"] == "to a file"
    stream = io.StringIO()
    configure_logging(Logging(), stream)
    structlog.get_logger().info("no descriptor")
    assert json.loads(stream.getvalue())["event"] == "no descriptor"
