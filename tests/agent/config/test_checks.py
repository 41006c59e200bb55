"""Rules between values of the configuration."""

from dataclasses import replace

import pytest

from agent.config import read_settings
from agent.model import ConfigError

ENGINES = ("vllm", "llamacpp")


def _problems(text: str) -> list[str]:
    """Return what is said of a file."""
    try:
        read_settings(text, "f", engines=ENGINES)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _instances(*instances: str) -> str:
    """Return a file with these engine instances, each on a line of its own."""
    return "\n".join(
        [
            "collectors:",
            "  engines:",
            "    instances:",
            *(f"      - {{{one}}}" for one in instances),
        ]
    )


def test_stale_before_it_is_due():
    """A source must not go stale before it is asked again."""
    text = "collectors:\n  host:\n    interval: 10s\n    stale_after: 10s\n"
    assert _problems(text) == [
        "f:4: collectors.host.stale_after: expected over 10s, its interval, found 10s"
    ]


def test_stale_default_before_a_long_interval():
    """The default of stale_after counts as well; the line is that of the group."""
    problems = _problems("collectors:\n  nvml:\n    interval: 1m\n")
    assert problems == [
        "f:2: collectors.nvml.stale_after: expected over 60s, its interval, found 10s"
    ]


def test_stale_before_the_next_tick():
    """Values must outlive the tick, or they would never be seen; a source that is off has none."""
    text = "tick: {interval: 20s}\ncollectors:\n  dcgm: {stale_after: 20s}\n  nvml: {enabled: no}\n"
    told = "stale_after: expected over 20s, the interval of ticks, found"
    assert _problems(text) == [
        f"f:2: collectors.engine_ends.{told} 10s",
        f"f:2: collectors.engines.{told} 10s",
        f"f:2: collectors.host.{told} 10s",
        f"f:2: collectors.kernel_log.{told} 10s",
        f"f:2: collectors.processes.{told} 10s",
        f"f:3: collectors.dcgm.{told} 20s",
    ]
    assert _problems("tick: {interval: 9s}") == []
    (problem,) = _problems("tick: {interval: 9s}\ncollectors: {nvml: {stale_after: 8s}}")
    assert "expected over 9s, the interval of ticks, found 8s" in problem
    refused = "tick: {interval: 20m}\ncollectors: {nvml: {stale_after: 8s}}"
    assert [line.split(": ")[1] for line in _problems(refused)] == ["tick.interval"]


def test_unknown_engine_of_an_instance_with_other_problems():
    """An engine that is unknown is said whatever else is wrong with its instance."""
    assert [line.split(": ")[1] for line in _problems(_instances("engine: vlm, url: x"))] == [
        "collectors.engines.instances[0]",
        "collectors.engines.instances[0].engine",
        "collectors.engines.instances[0].url",
    ]


def test_nothing_to_listen_on():
    """An agent that nobody can ask is a mistake; a list that is only a comment is the default."""
    problem = "f:1: exporters.http_api.listen: expected at least one address"
    assert _problems("exporters: {http_api: {listen: []}}") == [problem]
    assert _problems("exporters: {http_api: {listen: }}") == []


def test_unknown_engine():
    """An engine that the agent does not know is refused with those that it does."""
    (problem,) = _problems(_instances("name: a, engine: vlm, url: 'http://h:1'"))
    assert problem == (
        "f:4: collectors.engines.instances[0].engine: expected one of vllm, llamacpp, "
        "found 'vlm'; did you mean 'vllm'?"
    )
    assert "did you mean" not in _problems(_instances("name: a, engine: q, url: 'http://h'"))[0]


def test_instances_are_unique():
    """Two instances have neither one name nor one address; a Unix socket is an address."""
    problems = _problems(
        _instances(
            "name: a, engine: vllm, url: 'http://h:1'",
            "name: a, engine: vllm, url: 'http://h:1/'",
            "name: c, engine: vllm, url: 'http://h:1', unix_socket: /run/s",
            "name: d, engine: vllm, url: 'http://h:1', unix_socket: /run/s",
        )
    )
    assert problems == [
        "f:5: collectors.engines.instances[1].name: 'a' is the name of another instance",
        "f:5: collectors.engines.instances[1].url: http://h:1 is the address of 'a' already",
        "f:7: collectors.engines.instances[3].url: http://h:1 is the address of 'c' already",
    ]


def test_one_kind_of_credentials():
    """A token and a password at once are a contradiction, as is half a certificate."""
    problems = _problems(
        _instances(
            "name: a, engine: vllm, url: 'https://h', bearer_token: {env: A}, "
            "basic_auth: {username: u, password: {env: B}}, tls: {cert_file: /c}"
        )
    )
    place = "f:4: collectors.engines.instances[0]"
    assert problems == [
        f"{place}.basic_auth: expected either basic_auth or bearer_token, found both",
        f"{place}.tls: expected cert_file and key_file together",
    ]


def test_models_have_targets_once():
    """Of two entries for one model only one could count: each further one is refused."""
    text = (
        "targets:\n"
        "  models:\n"
        "    - {model_name: a, time_to_first_token: 2s}\n"
        "    - {model_name: A, time_to_first_token: 2s}\n"
        "    - {model_name: a, inter_token_latency: 50ms}\n"
        "    - {model_name: a, inter_token_latency: 60ms}\n"
    )
    told = "expected one entry a model, but 'a' has targets.models[0] already: write both as one"
    assert _problems(text) == [
        f"f:5: targets.models[2].model_name: {told}",
        f"f:6: targets.models[3].model_name: {told}",
    ]
    assert _problems("targets: {models: [{model_name: a}, {model_name: b}]}") == []


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        (":9745", ":9745", True),
        (":9745", "127.0.0.1:9745", True),
        ("127.0.0.1:9745", ":9745", True),
        ("0.0.0.0:9745", "127.0.0.1:9745", True),
        ("127.0.0.1:9745", "0.0.0.0:9745", True),
        ("[::]:9745", "[::1]:9745", True),
        ("[::]:9745", "0.0.0.0:9745", False),
        ("127.0.0.1:9745", "[::1]:9745", False),
        ("127.0.0.1:9745", "127.0.0.2:9745", False),
        (":9745", ":9746", False),
        ("localhost:9745", "127.0.0.1:9745", True),
        ("LOCALHOST:9745", "[::1]:9745", True),
        ("localhost.:9745", "localhost.localdomain:9745", True),
        ("ip6-localhost:9745", "[::1]:9745", True),
        ("ip6-localhost:9745", "127.0.0.1:9745", False),
        ("[::1]:9745", "[0:0::1]:9745", True),
        ("[fe80::1%eth0]:9745", "[fe80::1%eth1]:9745", False),
        ("0.0.0.0:9745", "localhost:9745", True),
        ("0.0.0.0:9745", "[::1]:9745", False),
        ("gpu-host:9745", "gpu-host:9745", True),
        ("gpu-host:9745", "0.0.0.0:9745", True),
        ("gpu-host:9745", "127.0.0.1:9745", False),
    ],
)
def test_ports_twice(first: str, second: str, *, overlap: bool):
    """The agent listens on a port of an address once."""
    text = f"exporters:\n  http_api:\n    listen:\n      - '{first}'\n      - '{second}'\n"
    expected = ["f:5: exporters.http_api.listen[1]: port 9745 stands here twice"]
    assert _problems(text) == (expected if overlap else [])


@pytest.mark.parametrize(
    ("url", "listen", "own"),
    [
        ("http://localhost:9745", ":9745", True),
        ("http://[::1]:9745", ":9745", True),
        ("http://localhost", ":80", True),
        ("https://localhost", ":443", True),
        ("http://localhost", ":443", False),
        ("http://other:9745", ":9745", False),
        ("http://localhost:8000", ":9745", False),
    ],
)
def test_an_engine_at_the_agents_own_port(url: str, listen: str, *, own: bool):
    """An engine on this host cannot be where the agent itself listens."""
    text = _instances(f"name: a, engine: vllm, url: '{url}'")
    text += f"\nexporters: {{http_api: {{listen: ['{listen}']}}}}\n"
    assert [line.endswith("is the agent's own") for line in _problems(text)] == [True] * own


def test_a_unix_socket_has_no_port():
    """Behind a Unix socket the host name means nothing."""
    text = _instances("name: a, engine: vllm, url: 'http://localhost:9745', unix_socket: /run/s")
    assert _problems(text) == []


def test_what_depends_on_a_refused_value_is_not_judged():
    """A default in the place of a refused value is not held against another value."""
    text = _instances("name: a, engine: vllm, url: 'http://localhost:9745'")
    text += "\n  host: {interval: x, stale_after: 500ms}\n  nvml: {interval: 1m, stale_after: x}"
    text += "\nexporters: {http_api: {listen: [x]}}\n"
    keys = [line.split(": ")[1] for line in _problems(text)]
    assert keys == [
        "collectors.host.interval",
        "collectors.nvml.stale_after",
        "exporters.http_api.listen[0]",
    ]


def test_gpus_of_an_engine():
    """The GPUs of an instance stand with it, those of a discovered engine under its name."""
    text = _instances("name: a, engine: vllm, url: 'http://h', gpus: [0, GPU-1]")
    engines = read_settings(text + "\n    gpus: {vllm-8000: [1]}", "f", engines=ENGINES)
    instance = engines.collectors.engines.instances[0]
    gpus_of = engines.collectors.engines.gpus_of
    assert gpus_of(instance) == ("0", "GPU-1")
    assert gpus_of(replace(instance, name="vllm-8000", gpus=())) == ("1",)
    assert gpus_of(replace(instance, name="vllm-8001", gpus=())) == ()


def test_gpus_of_an_engine_in_two_places():
    """An instance that names its GPUs has them in that place alone."""
    text = _instances("name: a, engine: vllm, url: 'http://h', gpus: [0]") + "\n    gpus: {a: [1]}"
    assert _problems(text) == [
        "f:5: collectors.engines.gpus.a: the instance 'a' names its GPUs itself"
    ]


def test_gpus_that_are_none():
    """What is no GPU is refused with its place."""
    (problem,) = _problems("collectors:\n  engines:\n    gpus:\n      a: [0, first]")
    assert problem.startswith("f:4: collectors.engines.gpus.a[1]: expected an index such as 0")


SEQS, BUDGET = "max_num_seqs", "cost.monthly_budget"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "capacity:\n  declared:\n    - {tokens_per_minute: 1}\n",
            ["f:3: capacity.declared[0]: expected instance or model_name, found neither"],
        ),
        (
            "capacity:\n  declared:\n    - {instance: a, model_name: b, tokens_per_minute: 1}\n",
            ["f:3: capacity.declared[0]: expected either instance or model_name, found both"],
        ),
        (
            "capacity:\n  limits:\n    - {max_num_seqs: 1}\n    - {max_num_batched_tokens: 2}\n",
            ["f:4: capacity.limits[1]: is about the same as capacity.limits[0]: write both as one"],
        ),
        (
            "capacity:\n  limits:\n    - {instance: a}\n",
            [f"f:3: capacity.limits[0]: expected {SEQS} or max_num_batched_tokens, found neither"],
        ),
        (
            "cost:\n  monthly_budget: 10\n",
            [f"f:2: {BUDGET}: expected a price of GPUs with it: cost.gpu_hour or cost.gpus"],
        ),
        (
            "cost: {gpu_hour: free, gpus: {H200: -1}}\n",
            [
                "f:1: cost.gpu_hour: expected a number over 0, at most 1e+12, found 'free'",
                "f:1: cost.gpus.H200: expected a number over 0, at most 1e+12, found '-1'",
            ],
        ),
        (
            "signals: {scale_in: 75%}\n",
            ["f:1: signals.scale_in: expected below signals.scale_out, by hysteresis at least"],
        ),
        (
            "scaler: {least: 5, most: 4, models: [{model_name: m, most: 5}, {model_name: m}]}\n",
            [
                "f:1: scaler.least: expected at most 4, as scaler.most",
                "f:1: scaler.models[1].least: expected no more than most",
                "f:1: scaler.models[1].model_name: 'm' stands here twice: write both as one",
            ],
        ),
        (
            "scaler: {target: 90%, surge_target: 85%}\n",
            ["f:1: scaler.surge_target: expected at least 0.9, as scaler.target"],
        ),
        (
            "targets: {inter_token: token}\n",
            ["f:1: targets.inter_token: expected one of request, gap, found 'token'"],
        ),
    ],
)
def test_capacity_and_cost(text: str, problems: list[str]):
    """What is declared, told or priced is about one thing, once, and makes sense."""
    assert _problems(text) == problems


def test_one_of_each_is_well():
    """An instance and its model may both be told of, and prices need no budget."""
    assert not _problems(
        "capacity:\n"
        "  declared:\n"
        "    - {instance: a, tokens_per_minute: 1e5}\n"
        "    - {model_name: b, tokens_per_minute: 2}\n"
        "  limits: [{max_num_seqs: 8}, {instance: a, max_num_seqs: 4}]\n"
        "cost: {gpus: {H200: 3.5}, monthly_budget: 1000}\n"
    )


def test_receivers_of_all_kinds_have_names_of_their_own():
    """A name stands for one receiver in metrics and messages, whatever kind it is of."""
    text = (
        "exporters:\n"
        "  alertmanager: {receivers: [{name: a, url: 'http://a'}]}\n"
        "  keep: {receivers: [{name: a, url: 'http://k', tls: {cert_file: /c}}]}\n"
        "  webhook:\n"
        "    receivers:\n"
        "      - {name: b, url: 'http://w'}\n"
        "      - {name: b, url: 'http://w', bearer_token: {env: X},"
        " basic_auth: {username: u, password: {env: X}}}\n"
    )
    taken = "is the name of another receiver"
    other = "exporters.webhook.receivers[1]"
    assert _problems(text) == [
        f"f:3: exporters.keep.receivers[0].name: 'a' {taken}",
        "f:3: exporters.keep.receivers[0].tls: expected cert_file and key_file together",
        f"f:7: {other}.basic_auth: expected either basic_auth or bearer_token, found both",
        f"f:7: {other}.name: 'b' {taken}",
    ]
