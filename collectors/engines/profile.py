"""The words in which an engine is declared; see `vllm` for one in use.

A profile is data: it says what the engine's page, its other endpoints and its command line call
the things that the catalogue names. What is done with that is in the modules beside this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.model import Metric


class Fact(StrEnum):
    """What can be known of an engine that is not a measurement.

    The names are those of the labels of `inferwatch_engine_info`; the limits are gauges instead.
    """

    MODEL_NAME = "model_name"
    MODEL = "model"
    VERSION = "version"
    DTYPE = "dtype"
    QUANTIZATION = "quantization"
    KV_CACHE_DTYPE = "kv_cache_dtype"
    BLOCK_SIZE = "block_size"
    GPU_MEMORY_UTILIZATION = "gpu_memory_utilization"
    TENSOR_PARALLEL_SIZE = "tensor_parallel_size"
    PIPELINE_PARALLEL_SIZE = "pipeline_parallel_size"
    DATA_PARALLEL_SIZE = "data_parallel_size"
    GPU_LAYERS = "gpu_layers"
    MAX_NUM_SEQS = "max_num_seqs"
    MAX_NUM_BATCHED_TOKENS = "max_num_batched_tokens"
    MAX_MODEL_LEN = "max_model_len"
    # Of the KV cache, one value a rank:
    KV_BLOCKS = "kv_blocks"
    KV_TOKENS = "kv_tokens"
    # Of the command line alone:
    HOST = "host"
    PORT = "port"
    UNIX_SOCKET = "unix_socket"
    BASE_PATH = "base_path"
    TLS_KEY = "tls_key"
    UNIFIED_KV = "unified_kv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric of the catalogue and what an engine calls it.

    Samples that differ only in labels the catalogue does not keep are added up; of a ratio the
    largest is taken.

    Attributes:
        metric: the declaration in the catalogue.
        names: sample names on the page, newest first, those of a histogram without `_bucket`,
            `_sum` and `_count`. The first that is on the page is used. Names joined by `+` must
            all be there and are added up.
        labels: the page's label for each label of the metric that is not called the same.
        zero_is_unknown: the engine writes 0 where it does not compute the value.
    """

    metric: Metric
    names: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    zero_is_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """A family whose labels are facts, one series a rank.

    Attributes:
        name: sample name on the page.
        rank: the label that holds the rank.
        labels: label on the page for each fact.
    """

    name: str
    rank: str
    labels: Mapping[Fact, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A JSON document of the engine that holds facts.

    Attributes:
        path: below the engine's base address.
        facts: where each fact stands: keys and indexes from the root.
    """

    path: str
    facts: Mapping[Fact, tuple[str | int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotList:
    """A JSON list of the engine's slots, read beside every page, where KV use is known only there.

    Attributes:
        path: below the engine's base address.
        busy: key of whether a slot executes a request.
        used: key of the tokens that a busy slot holds.
        capacity: key of the tokens that a slot can hold.
    """

    path: str
    busy: str
    used: str
    capacity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """How to infer requests that the client gave up, where the engine does not count them.

    Requests with a first token, less those that finished, run or wait.

    Attributes:
        started: histogram with one observation for each request that got its first token.
        finished: histogram with one observation for each request that ended by itself.
        counted: the `reason` of `engine_requests_finished` under which the engine does count
            some; added.
    """

    started: Metric
    finished: Metric
    counted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An inference engine: how to find it, how to ask it, and what its answers mean.

    Attributes:
        name: value of the label `engine`, and the name of the file that declares it.
        title: what people call it.
        commands: how its server is started: the program, without path and interpreter, or the
            module after `-m`, and the words that must follow.
        port: the port it listens on unless told otherwise.
        model_argument: whether the first word after the command may be the model.
        flags: names on its command line of each fact.
        switches: flags that take no value, and the fact each of them stands for.
        metrics_path: path of its page.
        without_metrics: what to do when there is no page at that path.
        families: what is on the page.
        ignored: sample names or their beginnings (ending in `*`) that are left out, and why.
        rank: the page's label for the data-parallel rank, where there are ranks.
        page_facts: families whose labels are facts.
        start_time: sample name of the server's start in Unix seconds.
        identity_header: a header of its answers that changes when it is restarted, in lower case.
        endpoints: where else it says facts.
        slots: where it says KV use, if not on the page.
        abandoned: how requests given up are inferred, if they can be.
    """

    name: str
    title: str
    commands: tuple[tuple[str, ...], ...]
    port: int
    model_argument: bool = False
    flags: Mapping[Fact, tuple[str, ...]]
    switches: Mapping[str, Fact] = field(default_factory=dict)
    metrics_path: str = "/metrics"
    without_metrics: str
    families: tuple[Family, ...]
    ignored: Mapping[str, str]
    rank: str = ""
    page_facts: tuple[PageFacts, ...] = ()
    start_time: str = ""
    identity_header: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    slots: SlotList | None = None
    abandoned: Abandoned | None = None
