"""Asking a server that speaks the Prometheus HTTP API, and what comes of odd answers."""

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.access import BasicAuth, Tls
from agent.config.secret import Secret
from agent.http_client import Access
from agent.model import InferwatchError, SourceError
from agent.promql.errors import EvaluationError, PromqlError
from agent.promql.querier import Querier
from agent.promql.values import Matrix, Scalar, String, Vector
from agent.remote import Client, Remote
from agent.remote.client import WARNINGS
from agent.remote.querier import LONGEST, POINTS, _forms
from agent.remote.values import value_of
from tests.agent.remote.served import Handler, Reply, Request, served


def said(kind: str, result: Any) -> Reply:
    """Return an answer as Prometheus gives it."""
    body = {"status": "success", "data": {"resultType": kind, "result": result}}
    return Reply(json.dumps(body).encode())


@contextlib.contextmanager
def remote(handler: Handler, **how: Any) -> Iterator[Remote]:
    """Yield a querier of a server that answers so."""
    access = Access(
        bearer_token=how.pop("bearer_token", None),
        basic_auth=how.pop("basic_auth", None),
        tls=Tls(),
    )
    path = how.pop("path", "")
    with (
        served(handler) as url,
        Remote(Client(f"{url}{path}", access, **{"timeout": 5.0, **how})) as found,
    ):
        yield found


def test_an_instant_query_gives_what_the_server_said():
    """Labels are sorted, those without a value left out; NaN and infinities are numbers."""
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        rows = [
            {"metric": {"b": "2", "a": "1", "c": ""}, "value": [5.5, "NaN"]},
            {"metric": {}, "value": [5.5, "-Inf"]},
        ]
        return said("vector", rows)

    with remote(answer) as found:
        querier: Querier = found
        got = querier.instant("up", 5.5)
    assert isinstance(got, Vector)
    assert list(got.labels) == [(("a", "1"), ("b", "2")), ()]
    assert math.isnan(got.values[0])
    assert got.values[1] == -math.inf
    assert asked[0].path == "/api/v1/query"
    assert asked[0].form == {"query": "up", "time": "5.5"}


def test_what_is_missing_in_an_answer_is_kept():
    """Thanos answers with what it has and a warning; each is told once, in one line, and few."""
    told = [f"store {place}\nis\x1b down" for place in range(100)]
    data = {"resultType": "vector", "result": []}

    def answer(_request: Request) -> Reply:
        body = {"status": "success", "data": data, "warnings": [*told, 5, None]}
        return Reply(json.dumps(body).encode())

    with remote(answer) as found:
        found.instant("up", 1.0)
        found.instant("up", 2.0)
        assert found.warnings[:2] == ["store 0 is down", "store 1 is down"]
        assert len(found.warnings) == WARNINGS


def test_a_partial_answer_without_words_is_said():
    """VictoriaMetrics as a cluster sets a flag where a storage node did not answer."""
    body = {"status": "success", "isPartial": True, "data": {"resultType": "vector", "result": []}}
    with remote(lambda _request: Reply(json.dumps(body).encode())) as found:
        found.instant("up", 1.0)
        assert found.warnings == ["isPartial: some of what it asks did not answer"]


def test_what_is_said_of_the_query_is_not_missing():
    """Notes on a query, as Prometheus gives them, leave the answer whole; a false flag does too."""
    body = {
        "status": "success",
        "isPartial": False,
        "data": {"resultType": "vector", "result": []},
        "warnings": ['PromQL info: metric might not be a counter: "x" (1:6)'],
        "infos": ['PromQL info: metric might not be a counter: "x" (1:6)'],
    }
    with remote(lambda _request: Reply(json.dumps(body).encode())) as found:
        found.instant("rate(x[5m])", 1.0)
        assert found.warnings == []


@pytest.mark.parametrize("warnings", [{}, "store", 1, None, [{}]])
def test_warnings_that_make_no_sense_are_none(warnings: Any):
    """What is no list of texts says nothing, and the answer counts."""
    body = {"status": "success", "warnings": warnings}
    body["data"] = {"resultType": "scalar", "result": [1, "2"]}
    with remote(lambda _request: Reply(json.dumps(body).encode())) as found:
        assert found.instant("1", 0.0) == Scalar(2.0)
        assert found.warnings == []


@pytest.mark.parametrize(
    ("kind", "result", "value"),
    [("scalar", [1, "2.5"], Scalar(2.5)), ("string", [1, "x"], String("x"))],
)
def test_other_kinds_are_values_too(kind: str, result: Any, value: object):
    """A scalar and a string are what they are in the history."""
    with remote(lambda _request: said(kind, result)) as found:
        assert found.instant("1", 0.0) == value


def test_the_path_tenant_and_credentials_go_with_every_request():
    """Thanos, Mimir and VictoriaMetrics have their API below a path; Mimir wants its tenant."""
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return said("matrix", [])

    with remote(
        answer,
        path="/select/0/prometheus/",
        headers={"X-Scope-OrgID": "team-a"},
        basic_auth=BasicAuth(username="u", password=Secret(env="PATH")),
    ) as found:
        assert found.range("up", 0.0, 60.0, 15.0) == Matrix([])
    assert asked[0].path == "/select/0/prometheus/api/v1/query_range"
    assert asked[0].headers["X-Scope-OrgID"] == "team-a"
    assert asked[0].headers["Authorization"].startswith("Basic ")
    assert asked[0].form == {"query": "up", "start": "0", "end": "60", "step": "15"}


def test_a_range_longer_than_a_server_gives_is_asked_in_pieces():
    """The pieces meet without a gap and without a sample twice, and each is short enough."""
    asked: list[dict[str, str]] = []

    def answer(request: Request) -> Reply:
        asked.append(request.form)
        start, end, step = (int(request.form[name]) for name in ("start", "end", "step"))
        values = [[time, str(time)] for time in range(start, end + 1, step)]
        assert len(values) <= POINTS
        return said("matrix", [{"metric": {"a": "1"}, "values": values}])

    with remote(answer) as found:
        (series,) = found.range("x", 0.0, 25_000.0, 1.0).series
    assert list(series.times) == list(series.values) == [float(one) for one in range(25_001)]
    assert [one["start"] for one in asked] == ["0", "10000", "20000"]


def test_a_query_about_its_own_ends_is_asked_whole():
    """Cut in pieces it would mean something else; the server says whether that is too long."""
    forms = list(_forms("x @ end()", 0.0, 25_000.0, 1.0, LONGEST))
    assert [one["end"] for one in forms] == ["25000"]


@given(st.floats(0, 2e9), st.integers(0, 30_000), st.floats(0.5, 86_400), st.floats(0, 0.99))
def test_pieces_hold_every_step_once(start: float, steps: int, step: float, rest: float):
    """Whatever the grid, the pieces have as many steps as the whole, in order, none twice."""
    step = round(step, 3)
    forms = list(_forms("x", start, start + (steps + rest) * step, step, LONGEST))
    counts = [
        round((float(one["end"]) - float(one["start"])) / float(one["step"])) + 1 for one in forms
    ]
    assert sum(counts) == steps + 1
    assert all(0 < one <= POINTS for one in counts)
    assert all(count == 1 or (count - 1) * step <= LONGEST + 1e-3 for count in counts)


MONTHS = 91 * 86_400.0


def refusing(limit: float, told: list[float], *, how: str = "execution") -> Handler:
    """Answer as servers do that limit how long a query may be: Cortex, Mimir, Thanos in plain."""

    def answer(request: Request) -> Reply:
        start, end, step = (float(request.form[name]) for name in ("start", "end", "step"))
        told.append(end - start)
        if end - start > limit:
            why = (
                f"the total query time range exceeds the limit (query length: {end - start:.0f}s, "
                f"limit: {limit:.0f}s)"
            )
            if how == "plain":
                return Reply(f"{why}\n".encode(), 400)
            body = {"status": "error", "errorType": how, "error": why}
            return Reply(json.dumps(body).encode(), {"bad_data": 400, "execution": 422}[how])
        rows = [[start + n * step, str(n)] for n in range(int((end - start) / step + 0.5) + 1)]
        return said("matrix", [{"metric": {"a": "1"}, "values": rows}])

    return answer


def test_months_are_asked_in_weeks():
    """A limit of 30 days, as hosted servers have it, holds for no piece of 91."""
    told: list[float] = []
    with remote(refusing(30 * 86_400.0 - 3600.0, told)) as found:
        (one,) = found.range("x", 0.0, MONTHS, 300.0).series
    assert len(one.times) == MONTHS / 300.0 + 1
    assert len(told) == 4


@pytest.mark.parametrize("how", ["bad_data", "execution", "plain"])
def test_shorter_pieces_are_asked_where_a_server_wants_them(how: str):
    """A limit of five days is found once, by halves, and kept to; every step is there once."""
    told: list[float] = []
    with remote(refusing(5 * 86_400.0, told, how=how)) as found:
        (one,) = found.range("x", 0.0, MONTHS, 300.0).series
        assert [*one.times] == [300.0 * n for n in range(len(one.times))]
        assert one.times[-1] == MONTHS
        refused = [length for length in told if length > 5 * 86_400.0]
        assert [round(length / 86_400.0) for length in refused] == [28, 14, 7]
        told.clear()
        found.range("y", 0.0, MONTHS, 300.0)
        assert max(told) <= 5 * 86_400.0


@pytest.mark.parametrize(("text", "asked"), [("x", 5), ("x @ end()", 1)])
def test_a_server_that_wants_less_than_a_day_is_told_of(text: str, asked: int):
    """The refusal is handed on where pieces would be many, or the query cannot be cut."""
    told: list[float] = []
    with (
        remote(refusing(3600.0, told)) as found,
        pytest.raises(PromqlError, match=r"exceeds the limit .*limit: 3600s"),
    ):
        found.range(text, 0.0, MONTHS, 300.0)
    assert len(told) == asked


@pytest.mark.parametrize(
    ("reply", "kind", "why"),
    [
        (Reply(b"<html>hello", 200), SourceError, "is no JSON, so it is no Prometheus API"),
        (Reply(b"[]"), SourceError, "none of the Prometheus API"),
        (Reply(b'{"status":"success"}'), SourceError, "makes no sense"),
        (said("vector", [{"metric": {"a": 1}, "value": [1, "1"]}]), SourceError, "makes no sense"),
        (said("vector", [{"metric": {}, "value": [1, "x"]}]), SourceError, "makes no sense"),
        (said("vector", [{"metric": {}}]), SourceError, "makes no sense"),
        (said("vector", 3), SourceError, "makes no sense"),
        (said("polygon", []), SourceError, "unknown kind"),
        (said("vector", [{"metric": {}, "histogram": [1, {}]}]), PromqlError, "native histograms"),
        (
            Reply(b'{"status":"error","errorType":"bad_data","error":"1:3: parse error"}', 400),
            PromqlError,
            "1:3: parse error",
        ),
        (
            Reply(b'{"status":"error","errorType":"execution","error":"too many samples"}', 422),
            EvaluationError,
            "too many samples",
        ),
        (
            Reply(b'{"status":"error","errorType":"timeout","error":"query timed out"}', 503),
            SourceError,
            "query timed out; .*shorter time",
        ),
        (Reply(b"no org id\n", 401), SourceError, "tenant: headers .* X-Scope-OrgID"),
        (Reply(b"", 401), SourceError, "give credentials"),
        (Reply(b"", 403), SourceError, "may not ask"),
        (Reply(b"404 page not found\n", 404), SourceError, "page not found; is the path right"),
        (Reply(b"", 302, {"Location": "https://x/"}), SourceError, "leads to https://x/"),
        (Reply(b"\x1b[31m\xff" * 9999, 500), SourceError, "it answered 500"),
    ],
)
def test_odd_answers_say_what_to_do(reply: Reply, kind: type[InferwatchError], why: str):
    """Whatever a server answers is an error of the right kind, in one line, with the URL."""
    with remote(lambda _request: reply) as found, pytest.raises(kind, match=why) as raised:
        found.instant("up", 1.0)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) < 700
    if kind is not PromqlError or "native" not in text:
        assert "http://127.0.0.1:" in text


@pytest.mark.parametrize(
    "pairs", [[[2, "1"], [1, "1"]], [[1, "1"], [1, "2"]], [[1]], "ab", [["x", "1"]]]
)
def test_odd_series_are_refused(pairs: Any):
    """Times of a series ascend; anything else would be taken for truth further on."""
    reply = said("matrix", [{"metric": {}, "values": pairs}])
    with remote(lambda _request: reply) as found, pytest.raises(SourceError, match="no sense"):
        found.range("up", 0.0, 5.0, 1.0)


def test_a_range_is_never_answered_with_a_vector():
    """A range query has a matrix or it is no answer."""
    with remote(lambda _r: said("vector", [])) as found, pytest.raises(SourceError, match="matrix"):
        found.range("up", 0.0, 5.0, 1.0)


def test_what_is_too_large_is_refused():
    """No server may fill the memory of who asks it."""
    big = said("string", [1, "x" * 300_000])
    with (
        remote(lambda _request: big, most=1 << 17) as found,
        pytest.raises(SourceError, match="ask for a shorter time"),
    ):
        found.instant("up", 1.0)


def test_an_answer_in_many_pieces_is_one_answer():
    """An answer comes as the network has it: what is not too large is read to its end."""
    text = "x" * 300_000
    reply = Reply(said("string", [1, text]).body, pieces=50)
    with remote(lambda _request: reply) as found:
        assert found.instant("up", 1.0) == String(text)


def test_nobody_there_is_said():
    """An address at which nobody answers is named."""
    with remote(lambda _request: Reply()) as found:
        url = found._client.url
    with (
        Remote(Client(url, Access(tls=Tls()), timeout=5.0)) as found,
        pytest.raises(SourceError, match=url),
    ):
        found.instant("up", 1.0)


def test_a_missing_certificate_is_said(tmp_path: Path):
    """What cannot be read of the TLS settings is told with the file's name."""
    tls = Tls(ca_file=tmp_path / "ca.pem")
    client = Client("https://127.0.0.1:1", Access(tls=tls), tls=tls, timeout=5.0)
    with Remote(client) as found, pytest.raises(SourceError, match=r"ca\.pem"):
        found.instant("up", 1.0)


def test_a_bad_grid_is_refused_before_it_is_sent():
    """A step of nothing, or an end before the start, is never asked."""
    with remote(lambda _request: said("matrix", [])) as found:
        for grid in ((0.0, 5.0, 0.0), (5.0, 0.0, 1.0)):
            with pytest.raises(PromqlError, match="step above zero"):
                found.range("up", *grid)
        assert found.asked == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resultType", "result", "metric", "value", "values", "x"]), inner
        )
    ),
)


@given(_JSON, st.sampled_from(["vector", "matrix", "scalar", "string", None]))
def test_no_json_is_an_error_of_another_kind(result: Any, kind: str | None):
    """Any JSON is a value or an error that says so."""
    data = result if kind is None else {"resultType": kind, "result": result}
    with contextlib.suppress(InferwatchError):
        value_of(data, "http://x")


def test_of_a_long_error_both_ends_are_told():
    """VictoriaMetrics wraps errors one in another: what to do about it stands at the end."""
    wrapped = "error when searching: " * 40 + "increase -search.maxUniqueTimeseries"
    body = json.dumps({"status": "error", "errorType": "422", "error": wrapped}).encode()

    with (
        remote(lambda _request: Reply(body, status=422)) as found,
        pytest.raises(
            SourceError, match=r"422; error when.*….*-search\.maxUniqueTimeseries$"
        ) as told,
    ):
        found.instant("up", 5.0)
    assert len(str(told.value)) < 700
