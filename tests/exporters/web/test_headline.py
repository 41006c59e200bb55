"""What is said first: the worst there is, else that all is well."""

from typing import Any

import pytest

from agent.catalog import alerts, gpu
from exporters.web.headline import first, headline
from exporters.web.seen import Sample, Seen, SourceLine
from exporters.web.verdicts import Mood
from tests.exporters.web.made import GPU, TIME, alert, empty, replica, samples, seen

RECEIVERS = {
    alerts.RECEIVER_UP: [Sample({"receiver": name}, up) for name, up in (("a", 1.0), ("b", 0.0))]
}
DOWN = SourceLine(name="kernel_log", state="down", detail="journalctl ended")


def engines(*causes: str) -> dict[str, Any]:
    """Return a document with an engine for each cause."""
    found = [replica(cause=cause, instance_name=f"e{n}") for n, cause in enumerate(causes)]
    return {"replicas": found}


@pytest.mark.parametrize(
    ("given", "mood", "text"),
    [
        (seen(), Mood.WELL, "All well: no alert fires, the engine is healthy or idle."),
        (
            seen(engines=engines("healthy", "idle"), samples={}),
            Mood.WELL,
            "All well: no alert fires, 2 engines are healthy or idle.",
        ),
        (seen(engines=engines("unknown"), samples={}), Mood.UNKNOWN, "No alert fires. Of an"),
        (seen(engines=engines("kv_memory"), samples={}), Mood.WARN, "Engine e0 is short of KV"),
        (seen(engines=engines("stalled"), samples={}), Mood.BAD, "Engine e0 is stalled"),
        (
            seen(engines=engines("stalled", "kv_memory"), samples={}),
            Mood.BAD,
            "Not all is well, though no alert fires.",
        ),
        (seen(samples=samples(up=0.0)), Mood.BAD, "Engine chat is down."),
        (seen(sources=[DOWN]), Mood.WARN, "The source kernel_log fails: journalctl ended."),
        (seen(samples=samples() | RECEIVERS), Mood.WARN, "Alerts do not reach the receiver b."),
        (seen(alerts=[alert()]), Mood.BAD, "An alert fires: KvCacheFull it is."),
        (seen(alerts=[alert(severity="warning")]), Mood.WARN, "An alert fires"),
        (seen(alerts=[alert(), alert("B", "warning")]), Mood.BAD, "2 alerts fire, 1 of them"),
        (seen(alerts=[alert(severity="info")]), Mood.WELL, "All well: the engine is healthy or"),
        (seen(alerts=[alert(firing=False)]), Mood.WELL, "All well: no alert fires"),
        (seen(silence="the last tick was 40 s ago", alerts=[alert()]), Mood.BAD, "The agent no"),
        (seen(time=None), Mood.UNKNOWN, "Starting"),
        (empty(), Mood.WELL, "Nothing is wrong. There is neither GPU nor engine here"),
    ],
)
def test_the_worst_is_said_first(given: Seen, mood: Mood, text: str):
    """Old numbers before alerts, alerts by severity before verdicts, verdicts before sources."""
    told = headline(given)
    assert (told.mood, told.text[: len(text)]) == (mood, text)


def test_a_lost_gpu_is_trouble_and_one_that_is_slowed_is_not():
    """Who does not answer is said; clocks at a power limit harm nobody by themselves."""
    slowed = {gpu.CLOCKS_EVENT_REASON: [Sample(GPU | {"reason": "software_power_cap"}, 1.0)]}
    assert headline(seen(samples=samples() | slowed)).mood is Mood.WELL
    lost = {gpu.UP: [Sample(GPU, 0.0)]}
    assert headline(seen(samples=samples() | lost)).text == "GPU 0: does not answer."


def test_an_alert_says_what_since_when_why_and_what_to_do():
    """Summary, name, severity, engine, age, description, verdict and runbook, in the open."""
    text = first(seen(alerts=[alert()]))
    for words in (
        "<h3>KvCacheFull it is</h3>",
        "<b>KvCacheFull</b>",
        "critical, instance_name chat, for 1 min 5 s",
        "Do something.",
        "Verdict: chat: 3 requests run and none waits.",
        '<a href="https://runbooks.example/x#kv" rel="noreferrer">',
    ):
        assert words in text


def test_an_alert_whose_cause_is_gone_says_so():
    """What fires on though it is over is not told as if it were so now."""
    words = "It is no longer so, for 40 s now; the alert ends by itself if that stays."
    assert words in first(seen(alerts=[alert(kept_since=TIME - 40.0)]))
    assert words not in first(seen(alerts=[alert()]))


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "docs/runbooks.md#kv", "//evil.example", "/\\evil.example"]
)
def test_a_runbook_that_is_no_page_is_no_link(address: str):
    """What a browser could run, or what leads nowhere from here, is shown as text."""
    text = first(seen(alerts=[alert(runbook=address)]))
    assert "href" not in text
    assert f"<code>{address}</code>" in text


def test_a_runbook_of_this_host_is_a_link():
    """With the name of the alert, as the address says little."""
    text = first(seen(alerts=[alert(runbook="/runbooks#kvcachefull")]))
    assert '<a href="/runbooks#kvcachefull">the runbook of KvCacheFull</a>' in text


def test_an_alert_that_may_come_is_told():
    """A condition that holds and does not fire yet is one line."""
    text = first(seen(alerts=[alert(firing=False)]))
    assert "True now, but not yet for long enough to fire: KvCacheFull it is." in text
    assert "<article" not in text


def test_many_alerts_that_may_come_stay_one_short_paragraph():
    """The same sentence is said once with its count, and of many different ones the first few."""
    same = [alert(firing=False) for _ in range(300)]
    others = [alert(f"Other{number}", firing=False) for number in range(10)]
    text = first(seen(alerts=[*same, *others]))
    assert text.count("KvCacheFull it is") == 1
    assert "KvCacheFull it is (300 times); Other0 it is; " in text
    assert "Other4 it is; and 5 more, in /api/v1/alerts." in text
    assert "Other5" not in text
