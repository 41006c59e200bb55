"""The addresses that Prometheus has: what is asked, how it is answered and refused."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO

import pytest
from aiohttp import ClientError, web
from aiohttp.test_utils import TestClient, TestServer

from agent.queries.asked import Asked, Kind, NoAnswerError, Trouble
from exporters.prometheus_api import Described, PrometheusApi, Told

NOW = 1_800_000_000.0
GROUPS: list[dict[str, Any]] = [
    {
        "name": "g",
        "file": "/a.yml",
        "rules": [
            {"name": "A", "type": "alerting", "alerts": [{"state": "firing"}]},
            {"name": "r", "type": "recording"},
        ],
    },
    {"name": "h", "file": "/b.yml", "rules": [{"name": "B", "type": "alerting", "alerts": []}]},
]


@dataclass
class Answering:
    """Notes what is asked and answers as told."""

    asked: list[Asked] = field(default_factory=list)
    patience: list[float | None] = field(default_factory=list)
    error: NoAnswerError | None = None
    body: bytes = b'{"status":"success","data":[]}'
    open_ones: int = 0

    async def __call__(
        self, asked: Asked, *, patience: float | None, listens: Callable[[], bool]
    ) -> "Answering":
        """Answer."""
        assert listens()
        self.asked.append(asked)
        self.patience.append(patience)
        if self.error is not None:
            raise self.error
        self.open_ones += 1
        self._file = BytesIO(gzip.compress(self.body) if asked.gzip else self.body)
        return self

    @property
    def file(self) -> BinaryIO:
        """The answer."""
        return self._file

    def close(self) -> None:
        """Count."""
        self.open_ones -= 1

    @property
    def last(self) -> Asked:
        """What was asked last."""
        return self.asked[-1]


@pytest.fixture
def answering() -> Answering:
    """What stands for the process."""
    return Answering()


@pytest.fixture
async def client(answering: Answering) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    """Somebody who asks."""

    async def rules() -> Sequence[Mapping[str, Any]]:
        return GROUPS

    target = {"labels": {"job": "j", "instance": "i"}, "scrapePool": "j"}
    told = Told(
        answer=answering,
        now=lambda: NOW,
        rules=rules,
        targets=lambda: [target],
        metadata=lambda: [
            Described("a_total", "counter", "A.", ""),
            Described("b", "gauge", "", "s"),
        ],
        version="1.2.3",
    )
    application = web.Application()
    application.add_routes(PrometheusApi(told).routes())
    async with TestClient(TestServer(application)) as client:
        yield client


Client = TestClient[web.Request, web.Application]


async def error(client: Client, path: str, **form: str) -> tuple[int, str, str]:
    """Return status, kind and words of a refusal."""
    answer = await (client.post(path, data=form) if form else client.get(path))
    told = await answer.json()
    assert told["status"] == "error"
    return answer.status, told["errorType"], told["error"]


async def data(client: Client, path: str) -> Any:
    """Return what is at hand."""
    answer = await client.get(path)
    told = await answer.json()
    assert (answer.status, told["status"]) == (200, "success"), told
    return told["data"]


async def test_a_query_has_what_it_was_given(client: Client, answering: Answering):
    """By GET and by form, the form first; without a time it is about now."""
    answer = await client.get("/api/v1/query?query=up&time=5&timeout=2s&limit=3&lookback_delta=1m")
    assert (answer.status, await answer.read()) == (200, answering.body)
    assert answer.content_type == "application/json"
    assert answering.last == Asked(kind=Kind.INSTANT, query="up", start=5.0, limit=3, lookback=60.0)
    assert answering.patience == [2.0]

    await client.post("/api/v1/query?query=other", data={"query": "up"})
    assert answering.last == Asked(kind=Kind.INSTANT, query="up", start=NOW)
    assert answering.open_ones == 0


async def test_a_range_has_a_grid(client: Client, answering: Answering):
    """Times and steps in any form."""
    form = {"query": "up", "start": "0", "end": "1970-01-01T03:03:20Z", "step": "1s"}
    await client.post("/api/v1/query_range", data=form)

    assert answering.last == Asked(kind=Kind.RANGE, query="up", start=0.0, end=11_000.0, step=1.0)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("query?time=x", ("invalid parameter \"time\": invalid time value for 'time': cannot parse "
         '"x" to a valid timestamp')),
        ("query?timeout=x", 'invalid parameter "timeout": cannot parse "x" to a valid duration'),
        ("query?limit=x", 'invalid parameter "limit": limit must be a number'),
        ("query?lookback_delta=0", 'invalid parameter "lookback_delta"'),
        ("query_range?start=&end=1&step=1",
         'invalid parameter "start": cannot parse "" to a valid timestamp'),
        ("query_range?start=0", 'invalid parameter "end": cannot parse "" to a valid timestamp'),
        ("query_range?start=1&end=0&step=1",
         'invalid parameter "end": end timestamp must not be before start time'),
        ("query_range?start=0&end=1", 'invalid parameter "step": cannot parse ""'),
        ("query_range?start=0&end=1&step=-1", ("zero or negative query resolution step widths are "
         "not accepted. Try a positive integer")),
        ("query_range?start=0&end=11001&step=1",
         ("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query "
          "resolution (?step=XX)")),
        ("series", "no match[] parameter provided"),
        ("series?match[]=up&start=x", 'invalid parameter "start": invalid time value'),
        ("rules?type=foo", 'invalid parameter "type": not supported value "foo"'),
        ("rules?match[]=up", "not supported"),
        ("metadata?limit=x", "limit must be a number"),
        ("targets/metadata?match_target=up", "not supported"),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused_at_once(
    client: Client, answering: Answering, path: str, words: str
):
    """In the words of Prometheus, where it has the same; no process hears of it."""
    status, kind, said = await error(client, f"/api/v1/{path}")

    assert (status, kind) == (400, "bad_data")
    assert words in said
    assert not answering.asked


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(Trouble.BAD_DATA, 400), (Trouble.EXECUTION, 422), (Trouble.TIMEOUT, 503),
     (Trouble.CANCELED, 499), (Trouble.UNAVAILABLE, 503), (Trouble.INTERNAL, 500),
     (Trouble.NOT_FOUND, 404)],
)  # fmt: skip
async def test_why_there_is_no_answer(
    client: Client, answering: Answering, trouble: Trouble, status: int
):
    """As JSON, and for a scraper as text."""
    answering.error = NoAnswerError(trouble, 'because "it" is so')

    assert await error(client, "/api/v1/query?query=up") == (
        status, str(trouble), 'because "it" is so'
    )  # fmt: skip
    plain = await client.get("/federate?match[]=up")
    assert (plain.status, await plain.text()) == (status, 'because "it" is so\n')
    assert ("Retry-After" in plain.headers) is (trouble is Trouble.UNAVAILABLE)


async def test_series_labels_and_values(client: Client, answering: Answering):
    """Selectors as often as they are given; names of labels from the address."""
    await client.get("/api/v1/series?match[]=a&match[]=b&start=1&end=2")
    assert answering.last == Asked(kind=Kind.SERIES, selectors=("a", "b"), start=1.0, end=2.0)
    await client.post("/api/v1/labels", data={"match[]": "a", "limit": "5"})
    assert answering.last == Asked(kind=Kind.LABELS, selectors=("a",), limit=5)
    await client.get("/api/v1/label/job/values")
    assert answering.last == Asked(kind=Kind.VALUES, label="job")
    await client.get("/api/v1/query_exemplars?query=up")
    assert answering.last.kind is Kind.EXEMPLARS
    await client.get("/api/v1/format_query?query=up")
    assert answering.last.kind is Kind.FORMAT


async def test_federation_is_a_page(client: Client, answering: Answering):
    """Of now, in the text format."""
    answering.body = b"# TYPE up untyped\n"

    answer = await client.get("/federate?match[]=up&match[]=x")

    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert await answer.read() == answering.body
    assert answering.last == Asked(kind=Kind.FEDERATE, selectors=("up", "x"), start=NOW)


async def test_only_who_is_far_away_gets_it_compressed(
    client: Client, answering: Answering, monkeypatch: pytest.MonkeyPatch
):
    """The process compresses; on this host that costs more than it saves."""
    await client.get("/api/v1/query?query=up", headers={"Accept-Encoding": "gzip"})
    assert not answering.last.gzip
    monkeypatch.setattr("exporters.prometheus_api.is_loopback", lambda _remote: False)

    answer = await client.get("/api/v1/query?query=up", headers={"Accept-Encoding": "gzip"})

    assert answering.last.gzip
    assert answer.headers["Content-Encoding"] == "gzip"
    assert await answer.json() == {"status": "success", "data": []}


async def test_who_does_not_read_is_given_up(
    client: Client, answering: Answering, monkeypatch: pytest.MonkeyPatch
):
    """The answer does not lie in memory until somebody feels like it."""
    monkeypatch.setattr("exporters.prometheus_body.STALLED", 0.05)
    answering.body = b"x" * 2**26
    answer = await client.get("/api/v1/query?query=up", read_bufsize=2**10)

    while answering.open_ones:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)

    with pytest.raises(ClientError):
        await answer.read()


async def test_forms_are_bounded_and_other_methods_refused(client: Client, answering: Answering):
    """A megabyte is no query; Prometheus has the same methods."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await client.post(
        "/api/v1/query", data=BytesIO(b"query=" + b"x" * 2**20), headers=form
    )
    assert (answer.status, (await answer.json())["errorType"]) == (413, "bad_data")
    for method, path in (("PUT", "query"), ("HEAD", "query"), ("POST", "label/job/values"),
                         ("POST", "metadata"), ("POST", "rules")):  # fmt: skip
        assert (await client.request(method, f"/api/v1/{path}")).status == 405
    assert (await client.get("/api/v1/nothing")).status == 404
    assert not answering.asked


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"query=\xff", {}),
        (b"query=up", {"Content-Type": "application/x-www-form-urlencoded; charset=nope"}),
        (b"\x1f\x8bnope", {"Content-Encoding": "gzip"}),
        (b"nope", {"Content-Encoding": "deflate"}),
    ],
)
async def test_forms_that_cannot_be_read_are_refused(
    client: Client,
    answering: Answering,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    headers: dict[str, str],
):
    """Whatever is wrong with it, whoever sent it is told, and it is no error of the agent's."""
    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    answer = await client.post("/api/v1/query", data=BytesIO(body), headers=form)
    assert answer.status == 400
    assert (await answer.json())["error"].startswith("error parsing form values: ")
    assert not answering.asked
    assert not [one for one in caplog.messages if "Error handling" in one]


async def test_metadata(client: Client):
    """By name of the metric, and for a target."""
    a = {"type": "counter", "help": "A.", "unit": ""}
    b = {"type": "gauge", "help": "", "unit": "s"}
    target = {"target": {"job": "j", "instance": "i"}}
    assert await data(client, "/api/v1/metadata") == {"a_total": [a], "b": [b]}
    assert await data(client, "/api/v1/metadata?limit=1") == {"a_total": [a]}
    assert await data(client, "/api/v1/metadata?metric=b") == {"b": [b]}
    assert await data(client, "/api/v1/targets/metadata?metric=b") == [
        {**target, "metric": "b", **b}
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"g": ["A", "r"], "h": ["B"]}),
        ("type=alert", {"g": ["A"], "h": ["B"]}),
        ("type=record", {"g": ["r"]}),
        ("rule_name[]=A&rule_name[]=r", {"g": ["A", "r"]}),
        ("rule_group[]=h", {"h": ["B"]}),
        ("file[]=/a.yml&type=alert", {"g": ["A"]}),
    ],
)
async def test_rules_are_chosen(client: Client, query: str, expected: dict[str, list[str]]):
    """By kind, name, group and file; a group of which nothing is left is not told of."""
    groups = (await data(client, f"/api/v1/rules?{query}"))["groups"]

    assert {one["name"]: [rule["name"] for rule in one["rules"]] for one in groups} == expected


async def test_alerts_are_those_of_all_rules(client: Client):
    """And can be left out of the rules."""
    assert await data(client, "/api/v1/alerts") == {"alerts": [{"state": "firing"}]}
    groups = (await data(client, "/api/v1/rules?exclude_alerts=true"))["groups"]
    assert groups[0]["rules"][0]["alerts"] == []


async def test_targets_and_build(client: Client):
    """One target; a version whose clients ask for what there is."""
    assert len((await data(client, "/api/v1/targets"))["activeTargets"]) == 1
    assert len((await data(client, "/api/v1/targets?state=active"))["activeTargets"]) == 1
    for other in ("state=dropped", "scrapePool=other"):
        assert (await data(client, f"/api/v1/targets?{other}"))["activeTargets"] == []
    built = await data(client, "/api/v1/status/buildinfo")
    assert (built["version"], built["revision"]) == ("3.0.0", "inferwatch-1.2.3")
