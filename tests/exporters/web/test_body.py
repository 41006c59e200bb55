"""What the page says of engines, GPUs, host and sources, whatever they are called."""

from html.parser import HTMLParser
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from agent.catalog import engine, gpu, host
from exporters.web.body import body
from exporters.web.seen import Sample, SourceLine, alert_of
from tests.exporters.web.made import (
    BOUNDS,
    GPU,
    TIME,
    alert,
    carried,
    course,
    empty,
    replica,
    samples,
    seen,
)

TAGS = {
    *("a", "article", "b", "caption", "code", "dd", "div", "dl", "dt", "h2", "h3", "h4", "li"),
    *("figcaption", "figure", "path", "svg"),
    *("p", "section", "span", "table", "tbody", "td", "th", "thead", "tr", "ul"),
}


class Parsed(HTMLParser):
    """The tags, attributes and text of a page; every tag that opens must close."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        self.tags.add(tag)
        self.attributes.update(attrs)
        self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag that is empty."""
        self.tags.add(tag)
        self.attributes.update(attrs)

    def handle_endtag(self, tag: str) -> None:
        """See that it closes what was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Take note of text."""
        self.words.append(data)


@given(st.text(min_size=1))
@example("<script>alert('x')</script>\"&")
@example("' onmouseover='alert(1)")
@example("--><img src=x onerror=alert(1)>")
def test_no_name_becomes_markup(name: str):
    """Whatever engines, models, GPUs, paths, sources and alerts are called, it stays text."""
    who = {"instance_name": name, "model_name": name, "engine": name}
    facts = GPU | {"name": name, "uuid": name}
    text = body(
        seen(
            banner=name,
            silence=name,
            looked_for=[name],
            engines={
                "replicas": [replica(cause=name, advice=name, **who)],
                "placement": [facts | who],
                "memory_forecasts": [],
                "deaths": [],
            },
            capacity={"replicas": [carried(known=False, **who)], "gpus": []},
            alerts=[
                alert(name, name, description=name, about=name, runbook=name, instance_name=name)
            ],
            sources=[SourceLine(name=name, state=name, detail=name)],
            pages=[name],
            samples=samples()
            | {
                gpu.INFO: [Sample(facts, 1.0)],
                host.FILESYSTEM_AVAILABLE: [Sample({"path": name}, 5.0)],
            },
            courses={engine.KV_CACHE_USAGE: [course(**who)]},
        )
    )
    parsed = Parsed(text)
    assert parsed.tags <= TAGS
    assert {key for key, _value in parsed.attributes} <= {
        *("class", "href", "id", "rel", "scope"),
        *("aria-hidden", "d", "preserveaspectratio", "viewbox"),
    }
    links = {value for key, value in parsed.attributes if key == "href" and value}
    assert all(one.startswith(("/", "#", "http://", "https://")) for one in links)


def test_an_engine_says_what_holds_it_back_and_what_would_help():
    """Verdict in words with its age, sentence, advice, capacity with interval, headroom."""
    told = replica(cause="kv_memory", advice="raise gpu-memory-utilization")
    text = body(seen(engines={"replicas": [told]}))
    for words in (
        "short of KV cache</a></b> for 1 min 30 s",
        "3 requests run and none waits.",
        "raise gpu-memory-utilization",
        "with 90 %: 50 k to 70 k; the KV cache binds",
        ">60 %<",
        ">250 ms<",
        ">42 %<",
        '<a href="/metrics/engine/chat">',
    ):
        assert words in text


def test_a_verdict_says_which_time_its_numbers_are_of():
    """They are of some seconds, those of the tiles of a minute; a state without any says none."""
    told = replica()
    told["verdict"]["numbers"]["span_seconds"] = 9.6
    assert "none waits. Numbers of the last 10 s.</p>" in body(seen(engines={"replicas": [told]}))
    told["verdict"]["cause"] = "idle"
    assert "Numbers of the last" not in body(seen(engines={"replicas": [told]}))


def test_a_capacity_that_is_not_known_says_why_and_how_long():
    """The reason in a sentence, what it takes, and no number in its place."""
    capacity = {"replicas": [carried(known=False)], "gpus": []}
    text = body(seen(capacity=capacity))
    assert "not known yet: 5 stretches of work were seen. Capacity is learned from" in text
    assert "60 k" not in text


def forecasts(**known: Any) -> dict[str, Any]:
    """Return a document in which these forecasts of the KV cache are made."""
    told = replica()
    told["forecasts"] |= known
    return {"replicas": [told], "memory_forecasts": []}


def test_what_is_foreseen_has_its_interval():
    """Soon, now, never within the horizon and not known are four sentences."""
    assert "is full in about 40 s (with 90 %: 30 s to 2 min 5 s)." in body(
        seen(engines=forecasts(kv_exhaustion=BOUNDS))
    )
    now = {"low_seconds": 0.0, "estimate_seconds": 0.0, "high_seconds": 0.0}
    assert "no room now." in body(seen(engines=forecasts(kv_exhaustion=now)))
    assert "nothing foreseen that fills it within 15 min." in body(seen(engines=forecasts()))
    assert "too little was seen" in body(seen(engines=forecasts(known=False)))


def test_memory_of_gpu_host_and_cgroup_is_foreseen():
    """Each forecast stands where its memory does; an end beyond the horizon is said so."""
    late = BOUNDS | {"high_seconds": None}
    found = [
        {"metric": "inferwatch_gpu_memory_exhaustion_forecast_seconds", **GPU, **late},
        {"metric": "inferwatch_host_memory_exhaustion_forecast_seconds", **BOUNDS},
        {
            "metric": "inferwatch_engine_cgroup_memory_exhaustion_forecast_seconds",
            "engine": "vllm",
            "instance_name": "chat",
            **BOUNDS,
        },
    ]
    text = body(seen(engines={"replicas": [replica()], "memory_forecasts": found}))
    assert "Its memory is used up in about 40 s (with 90 %: 30 s or much later)" in text
    assert "Main memory is used up in about 40 s" in text
    assert "Memory limit of its cgroup: reached in about 40 s" in text


def test_an_engine_that_is_down_says_why():
    """The error of its source and how its end was explained."""
    why = SourceLine(name="engine/chat", state="down", detail="cannot connect")
    death = {
        "engine": "vllm",
        "instance_name": "chat",
        "kind": "died",
        "sentence": "vllm chat died: CUDA out of memory",
    }
    text = body(
        seen(
            samples=samples(up=0.0),
            sources=[why],
            engines={"replicas": [], "deaths": [death]},
        )
    )
    assert "<b>down</b> its page cannot be read" in text
    assert "cannot connect" in text
    assert "CUDA out of memory" in text


def test_a_gpu_says_what_slows_it_and_who_is_on_it():
    """The reasons that clocks are held down, memory, and the engines with their verdicts."""
    slowed = {
        gpu.CLOCKS_EVENT_REASON: [
            Sample(GPU | {"reason": "software_power_cap"}, 1.0),
            Sample(GPU | {"reason": "idle"}, 1.0),
            Sample(GPU | {"reason": "hardware_slowdown"}, 0.0),
        ]
    }
    text = body(seen(samples=samples() | slowed))
    assert "clocks held down by its power limit<" in text
    assert "40 GiB" in text
    assert "50 % of 80 GiB" in text
    assert "Engine chat runs on it: healthy." in text


def test_a_host_with_neither_gpu_nor_engine_is_told_what_to_do():
    """What was looked for, what was found, and what would change it."""
    text = body(empty())
    for words in (
        "No engine was found on this host.",
        "Looked for: engines.",
        "No GPU is known on this host.",
        "absent: there is no libnvidia-ml.so.1",
        "On a host without NVIDIA GPUs that is as it should be.",
    ):
        assert words in text
    # What is not known is not foreseen either.
    assert "Main memory" not in text


def test_an_alert_is_read_from_what_prometheus_tells():
    """Labels, annotations, state and time; what is not there is empty."""
    told = {
        "labels": {"alertname": "A", "severity": "page", "instance_name": "chat", "job": "x"},
        "annotations": {"summary": "s", "runbook_url": "r"},
        "state": "pending",
        "activeAt": "2027-01-15T07:58:55.000Z",
        "value": "1e+00",
    }
    found = alert_of(told)
    assert (found.name, found.rank, found.firing, found.about) == (
        "A", 0, False, "instance_name chat",
    )  # fmt: skip
    assert (found.since, found.kept_since) == (TIME - 65.0, None)
    kept = alert_of(told | {"keepFiringSince": "2027-01-15T07:59:00.000Z"})
    assert kept.kept_since == TIME - 60.0
    assert (found.summary, found.description, found.runbook) == ("s", "", "r")
