"""The numbers that go out with an alert."""

from agent.alerts.context import numbers, subject
from agent.alerts.source import OneTick
from agent.promql import parse
from tests.fakes.rules import World

ALERT = {"alertname": "A", "instance_name": "chat", "gpu": "0"}


def told(samples: list[dict[str, float]], query: str) -> list[str]:
    """Return the lines after these samples, one set each second."""
    world = World([])
    for one in samples:
        world.tick(one)
    return numbers(parse(query), ALERT, world.time, OneTick(world.history)).splitlines()


def test_gauges_now_and_a_minute_before():
    """A gauge is told with its value and that of a minute before, in the unit of its name."""
    samples = [
        {"m_bytes": 2.0**20, "m_ratio": 0.5, "m_seconds": 90.0, "m_joules": 50_000.0}
    ] * 60 + [{"m_bytes": 2.0**30, "m_ratio": 0.25, "m_seconds": 0.002, "m_joules": 3.0}]
    assert told(samples, "m_bytes + m_ratio + m_seconds + m_joules") == [
        "m_bytes: 1GiB, a minute before 1MiB",
        "m_ratio: 25%, a minute before 50%",
        "m_seconds: 2ms, a minute before 1m 30s",
        "m_joules: 3, a minute before 50k",
    ]


def test_counters_are_told_as_rates():
    """A counter says nothing by itself: its rate over this minute and the one before does."""
    samples = [
        {"inferwatch_engine_preemptions_total": 2.0 * s + max(0, s - 60) * 3.0} for s in range(121)
    ]
    assert told(samples, "rate(inferwatch_engine_preemptions_total[1m])") == [
        "inferwatch_engine_preemptions_total: 5 each second of the last minute, the minute before 2"
    ]


def test_a_counter_that_began_anew_is_not_told():
    """Over a restart of the counter there is no rate, and none is made up."""
    samples = [{"inferwatch_engine_preemptions_total": 100.0}] * 30
    samples += [{"inferwatch_engine_preemptions_total": 1.0}] * 60
    assert told(samples, "inferwatch_engine_preemptions_total") == []


def test_series_about_something_else_are_left_out():
    """Series that name another GPU or engine than the alert are not told, nor are buckets."""
    samples = [{'v{gpu="0"}': 1.0, 'v{gpu="1"}': 2.0, 'v{rank="7"}': 3.0, 'm_bucket{le="1"}': 4.0}]
    assert told(samples, "v + m_bucket") == ["v: 1", "v{rank=7}: 3"]


def test_only_so_many_lines():
    """An alert over hundreds of series does not carry hundreds of lines."""
    lines = told([{f'v{{i="{n}"}}': float(n) for n in range(20)}], "v")
    assert len(lines) == 9
    assert lines[-1] == "and 12 more"


def test_what_has_ended_has_no_number_now():
    """A series that is gone is not told with its last value."""
    assert told([{"v": 1.0}, {}], "v") == []


def test_the_subject_is_one_line():
    """What an alert is about stands in one line, the words without their labels' suffixes."""
    assert subject({**ALERT, "model_name": "m", "engine": "vllm", "other": "x"}) == (
        "engine vllm, instance chat, model m, gpu 0"
    )
