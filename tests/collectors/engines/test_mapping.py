"""An engine's page becomes series of the catalogue: all that is wanted, and nothing lost unsaid."""

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.catalog import METRICS
from agent.catalog import engine as catalog
from agent.model import MetricType, SeriesTable, SourceError
from collectors.engines import ENGINES
from collectors.engines import mapping as module
from collectors.engines.bounded import MAX_LABEL
from collectors.engines.mapping import Page, PageMap
from collectors.engines.profile import Engine
from tests.fakes.engine_server import CAPTURES, capture

PAGES = sorted(path.name.removesuffix(".gz") for path in CAPTURES.glob("*.prom*"))


def engine_of(page: str) -> Engine:
    """Return the engine that a captured page came from."""
    return ENGINES["vllm" if page.startswith("vllm") else "llamacpp"]


class Reader:
    """Reads pages of one engine, and says what became of them."""

    def __init__(self, engine: str) -> None:
        self.table = SeriesTable()
        self.map = PageMap(ENGINES[engine], "a", self.table)

    def page(self, *lines: str) -> Page:
        """Read a page of these lines."""
        return self.map.read("".join(f"{line}\n" for line in lines).encode())

    def read(self, *lines: str) -> dict[str, float]:
        """Return values by the canonical name and the labels beside engine and instance."""
        page = self.page(*lines)
        found = {}
        for number, value in [
            *zip(page.plan.ids, page.values, strict=True),
            *page.doubtful,
        ]:
            series = self.table[number]
            labels = ",".join(v for _, v in series.label_pairs()[2:])
            name = series.sample_name.removeprefix("inferwatch_engine_")
            found[f"{name}{{{labels}}}" if labels else name] = value
        return found


# --- the profiles ----------------------------------------------------------------------------


def sample_names(page: bytes) -> Iterator[str]:
    """Yield the sample names of a page."""
    for line in page.decode().splitlines():
        if line and not line.startswith("#"):
            yield line.partition("{")[0].partition(" ")[0]


@pytest.mark.parametrize("name", PAGES)
def test_every_sample_of_a_captured_page_is_mapped_or_left_out_for_a_reason(name: str) -> None:
    """A new family of a new release must be noticed by whoever captures its page."""
    engine = engine_of(name)
    mapped = {
        *module._uses(engine),
        *(facts.name for facts in engine.page_facts),
        engine.start_time,
    }
    unknown = {
        sample
        for sample in sample_names(capture(name))
        if sample not in mapped
        and not any(fnmatchcase(sample, pattern) for pattern in engine.ignored)
    }
    assert unknown == set()


@pytest.mark.parametrize("engine", ENGINES.values(), ids=list(ENGINES))
def test_a_profile_is_consistent(engine: Engine) -> None:
    """Metrics are of the catalogue, each at most once; nothing mapped is also left out."""
    metrics = [family.metric for family in engine.families]
    assert len(metrics) == len(set(metrics))
    assert all(METRICS[metric.name] is metric for metric in metrics)
    assert all(metric.labels[:4] == catalog.LABELS for metric in metrics)
    assert all(set(family.labels) <= set(family.metric.labels) for family in engine.families)
    assert all(engine.ignored.values())
    left_out = {
        name
        for name in module._uses(engine)
        if any(fnmatchcase(name, pattern) for pattern in engine.ignored)
    }
    assert left_out == set()


@pytest.mark.parametrize("name", [page for page in PAGES if page.startswith("vllm")])
def test_histograms_keep_the_buckets_of_the_engine(name: str) -> None:
    """Bounds are the engine's own text, and counts are those of the official parser."""
    table = SeriesTable()
    page = PageMap(ENGINES["vllm"], "a", table).read(capture(name))
    expected = {
        (sample.name, sample.labels["engine"], sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(capture(name).decode())
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.name.startswith("vllm:")
    }
    names = {
        family.metric: family.names[0]
        for family in ENGINES["vllm"].families
        if family.metric.type is MetricType.HISTOGRAM
    }
    found = {
        (names[series.metric] + "_bucket", series.labels[3], series.le): value
        for series, value in (
            (table[number], value) for number, value in zip(page.plan.ids, page.values, strict=True)
        )
        if series.suffix == "_bucket"
    }
    assert len(found) > 100
    assert found == {key: value for key, value in expected.items() if key in found}
    assert {key for key in expected if key[0].removesuffix("_bucket") in names.values()} == set(
        found
    )


# --- what a page may be ----------------------------------------------------------------------


def test_old_names_are_read_and_new_ones_win() -> None:
    """Releases that write both names of a family give one series, from the newer name."""
    old = Reader("vllm").read(
        'vllm:gpu_cache_usage_perc{model_name="m"} 0.25',
        'vllm:gpu_prefix_cache_hits_total{model_name="m"} 3',
        'vllm:gpu_prefix_cache_queries_total{model_name="m"} 4',
        'vllm:time_per_output_token_seconds_bucket{le="0.01",model_name="m"} 1',
        'vllm:time_per_output_token_seconds_count{model_name="m"} 1',
        'vllm:time_per_output_token_seconds_sum{model_name="m"} 0.5',
    )
    assert old == {
        "kv_cache_usage_ratio{m}": 0.25,
        "prefix_cache_hits_total{m}": 3.0,
        "prefix_cache_queries_total{m}": 4.0,
        "inter_token_latency_seconds_bucket{m,0.01}": 1.0,
        "inter_token_latency_seconds_count{m}": 1.0,
        "inter_token_latency_seconds_sum{m}": 0.5,
    }
    both = Reader("vllm").read(
        'vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.25',
        'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5',
    )
    assert both == {"kv_cache_usage_ratio{m,0}": 0.5}


def test_bounds_of_buckets_are_written_as_prometheus_3_stores_them() -> None:
    """An engine that writes `le="1"` has the series that rules with `le="1.0"` ask for."""
    found = Reader("vllm").read(
        'vllm:time_to_first_token_seconds_bucket{le="1",model_name="m"} 1',
        'vllm:time_to_first_token_seconds_bucket{le="2.50",model_name="m"} 2',
        'vllm:time_to_first_token_seconds_bucket{le="+Inf",model_name="m"} 2',
        'vllm:time_to_first_token_seconds_count{model_name="m"} 2',
        'vllm:time_to_first_token_seconds_sum{model_name="m"} 3',
    )
    assert found == {
        "time_to_first_token_seconds_bucket{m,1.0}": 1.0,
        "time_to_first_token_seconds_bucket{m,2.5}": 2.0,
        "time_to_first_token_seconds_bucket{m,+Inf}": 2.0,
        "time_to_first_token_seconds_count{m}": 2.0,
        "time_to_first_token_seconds_sum{m}": 3.0,
    }


def test_an_update_while_the_agent_runs_moves_to_the_new_name() -> None:
    """The same series goes on when the engine comes back with another name for it."""
    reader = Reader("vllm")
    before = reader.page('vllm:gpu_cache_usage_perc{engine="0",model_name="m"} 0.25')
    after = reader.page('vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5')
    assert before.plan.ids == after.plan.ids
    assert after.values == [0.5]


def test_what_differs_only_in_labels_that_are_dropped_is_added_up() -> None:
    """HTTP answers are counted by status, whatever handler and method they were for."""
    reader = Reader("vllm")
    lines = (
        'http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 145',
        'http_requests_total{handler="/v1/models",method="GET",status="2xx"} 5',
        'http_requests_total{handler="/v1/models",method="GET",status="4xx"} 1',
    )
    assert reader.read(*lines) == {
        "http_responses_total{2xx}": 150.0,
        "http_responses_total{4xx}": 1.0,
    }
    assert reader.read(*lines)["http_responses_total{2xx}"] == 150.0


def test_of_a_ratio_the_largest_is_taken() -> None:
    """Shares cannot be added up."""
    found = Reader("vllm").read(
        'vllm:kv_cache_usage_perc{engine="0",model_name="m",pool="a"} 0.75',
        'vllm:kv_cache_usage_perc{engine="0",model_name="m",pool="b"} 0.5',
    )
    assert found == {"kv_cache_usage_ratio{m,0}": 0.75}


def test_of_a_sample_that_stands_there_twice_the_last_counts() -> None:
    """As in Prometheus; nothing is counted double."""
    found = Reader("vllm").read(
        'vllm:num_requests_running{engine="0",model_name="m"} 3',
        'vllm:num_requests_running{model_name="m",engine="0"} 4',
    )
    assert found == {"requests_running{m,0}": 4.0}


def test_estimates_that_are_zero_are_unknown() -> None:
    """Where vLLM was not started to estimate, it writes 0."""
    reader = Reader("vllm")
    name = 'vllm:estimated_flops_per_gpu_total{engine="0",model_name="m"}'
    assert reader.read(f"{name} 0") == {}
    assert reader.read(f"{name} 5e9") == {"estimated_flops_per_gpu_total{m,0}": 5e9}


def test_a_page_of_something_else_is_refused() -> None:
    """A node_exporter at the address of an engine is a mistake to be told."""
    with pytest.raises(SourceError, match=r"nothing of vLLM.*right engine"):
        Reader("vllm").read("node_load1 0.5", "process_start_time_seconds 5")
    with pytest.raises(SourceError, match="nothing of vLLM"):
        Reader("vllm").map.read(b"")


def test_the_plan_is_kept_while_the_series_stand() -> None:
    """Comments and unwanted lines may come and go without a new plan."""
    reader = Reader("vllm")
    line = 'vllm:num_requests_running{engine="0",model_name="m"} 3'
    first = reader.page(line)
    assert reader.page("# TYPE x gauge", line, "x 1").plan is first.plan
    assert reader.page(line, line.replace('"0"', '"1"')).plan is not first.plan


def test_a_model_is_named_from_elsewhere_where_the_page_does_not() -> None:
    """llama.cpp's page has no labels; the name may be known only after the first page."""
    reader = Reader("llamacpp")
    assert reader.read("llamacpp:requests_processing 3") == {"requests_running": 3.0}
    reader.map.name_model("mid")
    assert reader.read("llamacpp:requests_processing 3") == {"requests_running{mid}": 3.0}


def test_llamacpp_prompt_tokens_include_cached_ones() -> None:
    """Its first counter leaves them out; before there was a second one, it is all there is."""
    reader = Reader("llamacpp")
    one = "llamacpp:prompt_tokens_total 10"
    assert reader.read(one) == {"prompt_tokens_total": 10.0}
    assert reader.read(one, "llamacpp:prompt_tokens_cached_total 5") == {
        "prompt_tokens_total": 15.0,
        "prompt_tokens_cached_total": 5.0,
    }


def test_facts_are_read_for_each_rank() -> None:
    """Each data-parallel rank has its own cache; `None` is not a value."""
    page = Reader("vllm").map.read(capture("vllm-08-dp2.prom"))
    assert {rank: facts["kv_tokens"] for rank, facts in page.plan.facts.items()} == {
        "0": "4096",
        "1": "4096",
    }
    assert "None" not in {value for facts in page.plan.facts.values() for value in facts.values()}


def _invented(number: int) -> list[str]:
    """Return a page of 100 series, one name and new labels for each number."""
    return [
        f'vllm:num_requests_running{{engine="{number}-{other}",model_name="m"}} 1'
        for other in range(100)
    ]


def test_a_source_that_invents_series_is_forgotten_and_in_the_end_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the memory of the page nor the table of series grows without bound."""
    monkeypatch.setattr(module, "MAX_SERIES", 3000)
    reader = Reader("vllm")
    for number in range(30):
        reader.page(*_invented(number))
        assert len(reader.map._slots) <= 1300
    for number in range(30, 60):
        with pytest.raises(SourceError, match="more than 3000 series"):
            reader.page(*_invented(number))
    assert len(reader.table) <= 3000 + 60 * module.REGAINED
    assert len(reader.map._slots) <= 200
    assert len(reader.map._numbers) <= 200


def test_what_was_known_before_is_read_after_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine whose page is normal again is up again at once."""
    monkeypatch.setattr(module, "MAX_SERIES", 350)
    reader = Reader("vllm")
    normal = _invented(0)
    reader.page(*normal)
    for number in range(1, 9):
        with contextlib.suppress(SourceError):
            reader.page(*_invented(number))
    with pytest.raises(SourceError):
        reader.page(*_invented(9))
    assert len(reader.page(*normal).plan.ids) == 100
    assert len(reader.map._slots) == 100


def test_a_refused_page_is_read_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of series that may be new grows again with each look, slowly."""
    monkeypatch.setattr(module, "MAX_SERIES", 150)
    reader = Reader("vllm")
    reader.page(*_invented(0))
    for _ in range(round(50 / module.REGAINED) - 30):
        with pytest.raises(SourceError, match="more than 150 series"):
            reader.page(*_invented(1))
    for _ in range(40):
        with contextlib.suppress(SourceError):
            assert len(reader.page(*_invented(1)).plan.ids) == 100
            return
    raise AssertionError("never read again")


def test_after_a_restart_series_may_be_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the engine was before says nothing of what it is now."""
    monkeypatch.setattr(module, "MAX_SERIES", 100)
    reader = Reader("vllm")
    reader.page(*_invented(0))
    with pytest.raises(SourceError):
        reader.page(*_invented(1))
    reader.map.restarted()
    assert len(reader.page(*_invented(1)).plan.ids) == 100


def test_long_label_values_are_cut_and_stay_apart():
    """A model name of 10,000 characters does not go through to pages and alerts; two stay two."""
    reader = Reader("vllm")
    long = "m" * 10_000
    page = reader.page(
        f'vllm:num_requests_running{{engine="0",model_name="{long}1"}} 1',
        f'vllm:num_requests_running{{engine="0",model_name="{long}2"}} 2',
        'vllm:num_requests_running{engine="0",model_name="short"} 3',
    )
    names = {
        reader.table[number].labels[2]: value
        for number, value in zip(page.plan.ids, page.values, strict=True)
    }
    assert sorted(names.values()) == [1.0, 2.0, 3.0]
    assert names["short"] == 3.0
    assert {len(name) for name in names} == {5, MAX_LABEL}
    assert page.plan.cut == 2
