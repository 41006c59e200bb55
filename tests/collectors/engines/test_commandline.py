"""Command lines say which engine they start and how; nothing else is taken for an engine."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import EngineInstance
from agent.config.values import Name, Url
from collectors.engines import ENGINES
from collectors.engines.commandline import recognise
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact


def read(command: str) -> tuple[str, dict[Fact, str]] | None:
    """Return engine and facts of a command line whose words are separated by spaces."""
    found = recognise(command.split(), ENGINES.values())
    return None if found is None else (found[0].name, found[1])


def process(command: str) -> EngineProcess:
    """Return the process that a command line starts."""
    found = recognise(command.split(), ENGINES.values())
    assert found is not None
    return EngineProcess(engine=found[0], pid=1, start_time=0.0, facts=found[1])


@pytest.mark.parametrize(
    ("command", "engine"),
    [
        ("vllm serve m", "vllm"),
        ("/usr/local/bin/vllm serve m", "vllm"),
        ("python3 /usr/bin/vllm serve m", "vllm"),
        ("/v/bin/python3.12 /v/bin/vllm serve", "vllm"),
        ("python -m vllm.entrypoints.openai.api_server --model m", "vllm"),
        ("python3 -u -X dev -W ignore -m vllm.entrypoints.openai.api_server", "vllm"),
        ("python3.13t -I -m vllm.entrypoints.cli.main serve m", "vllm"),
        ("llama-server -m x.gguf", "llamacpp"),
        ("/opt/bin/llama-server", "llamacpp"),
    ],
)
def test_servers_are_recognised(command: str, engine: str) -> None:
    """However a server is started, its engine is known."""
    found = read(command)
    assert found is not None
    assert found[0] == engine


@pytest.mark.parametrize(
    "command",
    [
        "",
        "VLLM::EngineCore",
        "VLLM::Worker_TP0",
        "vllm",
        "vllm bench serve --model m",
        "vllm chat",
        "uv run vllm serve m",
        "/bin/sh -c vllm serve m",
        "docker run vllm/vllm-openai --model m",
        "python -c from multiprocessing.spawn import spawn_main",
        "python -m",
        "python",
        "python -u",
        "python -m vllm.entrypoints.cli.main bench",
        "grep llama-server",
        "vim llama-server.log",
        "llama-cli -m x.gguf",
    ],
)
def test_nothing_else_is_taken_for_a_server(command: str) -> None:
    """Workers, wrappers, clients and words in arguments are not servers."""
    assert read(command) is None


def test_vllm_flags_are_read_in_every_spelling() -> None:
    """With `=`, with a space, with dashes or underscores, short or long; the last one counts."""
    found = read(
        "vllm serve org/model --max-num-seqs=256 --max_num_batched_tokens 8k "
        "--max-model-len 16K -tp 4 --pipeline-parallel-size=2 --data_parallel_size=3 "
        "--gpu-memory-utilization 0.85 --dtype bfloat16 --quantization=awq "
        "--kv-cache-dtype fp8 --block-size 16 --served-model-name chat other "
        "--enforce-eager --port 1 --port 8001"
    )
    assert found is not None
    assert found[1] == {
        Fact.MODEL: "org/model",
        Fact.MODEL_NAME: "chat",
        Fact.MAX_NUM_SEQS: "256",
        Fact.MAX_NUM_BATCHED_TOKENS: "8000",
        Fact.MAX_MODEL_LEN: "16384",
        Fact.TENSOR_PARALLEL_SIZE: "4",
        Fact.PIPELINE_PARALLEL_SIZE: "2",
        Fact.DATA_PARALLEL_SIZE: "3",
        Fact.GPU_MEMORY_UTILIZATION: "0.85",
        Fact.DTYPE: "bfloat16",
        Fact.QUANTIZATION: "awq",
        Fact.KV_CACHE_DTYPE: "fp8",
        Fact.BLOCK_SIZE: "16",
        Fact.PORT: "8001",
    }


def test_llamacpp_flags_are_read() -> None:
    """Short and long flags of llama-server, and those without a value."""
    found = read("llama-server -m /m.gguf -np 4 -b 512 -ngl -1 -c 4096 --alias chat -kvu")
    assert found is not None
    assert found[1] == {
        Fact.MODEL: "/m.gguf",
        Fact.MODEL_NAME: "chat",
        Fact.MAX_NUM_SEQS: "4",
        Fact.MAX_NUM_BATCHED_TOKENS: "512",
        Fact.GPU_LAYERS: "-1",
        Fact.UNIFIED_KV: "true",
    }


@pytest.mark.parametrize("value", ["auto", "-1", "0", "x", "1.5", "--dtype"])
def test_a_limit_that_the_engine_chooses_is_unknown(value: str) -> None:
    """`auto`, -1 and nonsense are not numbers of tokens, nor is a flag that follows."""
    found = read(f"vllm serve m --max-model-len {value}")
    assert found is not None
    assert Fact.MAX_MODEL_LEN not in found[1]


def test_a_flag_at_the_end_without_a_value_is_nothing() -> None:
    """A command line may be cut."""
    assert read("vllm serve m --port") == ("vllm", {Fact.MODEL: "m"})
    assert read("vllm serve m --port=") == ("vllm", {Fact.MODEL: "m"})


@pytest.mark.parametrize(
    ("command", "url"),
    [
        ("vllm serve m", "http://127.0.0.1:8000"),
        ("vllm serve m --host :: --port 1", "http://[::1]:1"),
        ("vllm serve m --host 10.1.2.3", "http://10.1.2.3:8000"),
        ("vllm serve m --host fd00::1", "http://[fd00::1]:8000"),
        ("vllm serve m --ssl-keyfile /k --port 8443", "https://127.0.0.1:8443"),
        ("vllm serve m --port x", "http://127.0.0.1:8000"),
        ("llama-server --api-prefix /llm/", "http://127.0.0.1:8080/llm"),
        ("llama-server --ssl-key-file k", "https://127.0.0.1:8080"),
    ],
)
def test_the_address_follows_from_the_flags(command: str, url: str) -> None:
    """A server that listens everywhere is asked on loopback; one with TLS over TLS."""
    assert process(command).url == url


@pytest.mark.parametrize(
    ("command", "url"),
    [
        ("vllm serve m --host [x --port 9823", "http://127.0.0.1:9823"),
        ("vllm serve m --host [::1]", "http://[::1]:8000"),
        ("vllm serve m --host a/b?c", "http://127.0.0.1:8000"),
        ("vllm serve m --host " + "a" * 300, "http://127.0.0.1:8000"),
        ("vllm serve m --host node-7.example.org", "http://node-7.example.org:8000"),
        ("vllm serve m --host fe80::1%eth0", "http://[fe80::1%eth0]:8000"),
        ("vllm serve m --port " + "9" * 5000, "http://127.0.0.1:8000"),
        ("vllm serve m --port 0", "http://127.0.0.1:8000"),
        ("vllm serve m --port 65536", "http://127.0.0.1:8000"),
        ("vllm serve m --max-num-seqs " + "9" * 5000, "http://127.0.0.1:8000"),
        ("vllm serve m --max-model-len " + "9" * 400 + "k", "http://127.0.0.1:8000"),
        ("llama-server --api-prefix /a?b#[c", "http://127.0.0.1:8080"),
    ],
)
def test_a_setting_that_makes_no_sense_is_dropped(command: str, url: str) -> None:
    """Host, port, base path and numbers that no server can have are not taken over."""
    server = process(command)
    assert server.url == url
    assert not {Fact.MAX_NUM_SEQS, Fact.MAX_MODEL_LEN} & server.facts.keys()


_WORDS = st.one_of(
    st.sampled_from(
        [flag for engine in ENGINES.values() for flags in engine.flags.values() for flag in flags]
    ),
    st.sampled_from(
        ["[x", "[::1]", "::1%", "[", "]:", "a]b", "/a\nb", "9" * 5000, "1" * 400 + "k"]
    ),
    st.text(max_size=20),
    st.binary(max_size=20).map(lambda word: word.decode("utf-8", "replace")),
)


@settings(deadline=None)
@given(
    start=st.sampled_from([["vllm", "serve"], ["llama-server"], ["python3", "-m"], []]),
    words=st.lists(_WORDS, max_size=12),
    joined=st.booleans(),
)
def test_no_command_line_is_too_odd(start: list[str], words: list[str], *, joined: bool) -> None:
    """Whatever stands on a command line, reading it raises nothing, nor does what follows."""
    if joined:
        words = ["=".join(words[at : at + 2]) for at in range(0, len(words), 2)]
    found = recognise([*start, *words], ENGINES.values())
    if found is None:
        return
    server = EngineProcess(engine=found[0], pid=1, start_time=0.0, facts=found[1])
    parts = urlsplit(server.url)
    assert parts.hostname
    assert server.unix_socket or parts.port == server.port
    assert not server.serves(EngineInstance(name="a", engine="vllm", url="http://192.0.2.1:1"))
    assert Name().convert(server.default_name())
    assert not any(character in server.url for character in " \n\t")
    assert Url().convert(server.url)
