"""What an engine is asked for rarely, and what is known of it besides."""

import asyncio
from pathlib import Path

import pytest

from collectors.engines import ENGINES
from collectors.engines.facts import REFRESH_INTERVAL, SLOW_INTERVAL
from collectors.engines.process import EngineProcess
from collectors.engines.profile import Fact
from tests.collectors.engines.watching import PAGE, RUNNING, Watch
from tests.fakes import engine_server as fake
from tests.fakes.engine_server import EngineServer, changed


async def test_facts_are_asked_for_rarely(watch: Watch) -> None:
    """On the first look, and then every five minutes."""
    server = EngineServer.vllm()
    one = await watch(server)
    await one.look()
    await one.look()
    assert server.requests.count("/version") == 1
    one.clock.advance(REFRESH_INTERVAL)
    await one.look()
    assert server.requests.count("/version") == 2


async def test_a_missing_fact_is_not_an_error_and_not_asked_for_again(watch: Watch) -> None:
    """A server without an endpoint has none until it is restarted."""
    server = EngineServer({"/metrics": PAGE})
    one = await watch(server)
    found = await one.look()
    assert found[RUNNING] == 6
    assert "engine_max_model_len_tokens" not in str(found)
    one.clock.advance(REFRESH_INTERVAL)
    await one.look()
    assert server.requests.count("/version") == 1
    server.documents["/metrics"] = changed(PAGE, process_start_time_seconds=1795249999)
    server.documents["/version"] = b'{"version": "9"}'
    await one.look()
    await one.look()
    assert server.requests.count("/version") == 2


async def test_a_fact_endpoint_that_hangs_costs_one_look(watch: Watch) -> None:
    """The look that was stopped while it waited for a fact is the last to ask for it for long."""
    server = EngineServer.vllm()
    server.behaviours["/version"] = fake.hang()
    one = await watch(server)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.2)
    assert (await asyncio.wait_for(one.look(), 5))[RUNNING] == 6
    one.clock.advance(REFRESH_INTERVAL)
    assert (await asyncio.wait_for(one.look(), 5))[RUNNING] == 6
    assert server.requests.count("/version") == 1


@pytest.mark.parametrize("answer", [b"no json", b"[]", b'{"version": {"major": 1}}', b"null"])
async def test_a_fact_of_another_shape_is_unknown(watch: Watch, answer: bytes) -> None:
    """The document may change between releases; nothing is made up."""
    server = EngineServer.vllm()
    server.documents["/version"] = answer
    found = await (await watch(server)).look()
    assert "version=" not in "".join(found)
    assert 'model="/srv/models/tiny-model"' in "".join(found)


async def test_the_command_line_adds_what_the_engine_does_not_say(watch: Watch) -> None:
    """Limits come from the flags; what the running engine answers wins over them."""
    process = EngineProcess(
        engine=ENGINES["vllm"],
        pid=7,
        start_time=5.0,
        facts={Fact.MAX_NUM_SEQS: "64", Fact.MAX_MODEL_LEN: "9", Fact.DTYPE: "bfloat16"},
    )
    one = await watch(EngineServer.vllm(), process_of=lambda _instance: process)
    found = await one.look()
    labels = '{engine="vllm",instance_name="chat"}'
    assert found[f"engine_max_num_seqs{labels}"] == 64
    assert found[f"engine_max_model_len_tokens{labels}"] == 2048
    assert 'dtype="bfloat16"' in "".join(found)


async def test_gpus_of_the_configuration(watch: Watch) -> None:
    """What the configuration says of its GPUs is among the samples of an engine, each once."""
    found = await (await watch(EngineServer.vllm(), gpus=("0", "GPU-a", "0"))).look()
    pinned = [name for name in found if name.startswith("engine_gpu_pinned_info")]
    labels = 'engine="vllm",instance_name="chat",device='
    assert pinned == [f'engine_gpu_pinned_info{{{labels}"{gpu}"}}' for gpu in ("0", "GPU-a")]


async def test_the_files_of_a_model(watch: Watch, tmp_path: Path) -> None:
    """The size of the weights and of a token follow from the folder on the command line."""
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "config.json").write_text(
        '{"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, '
        '"torch_dtype": "bfloat16"}'
    )
    facts = {Fact.MODEL: str(tmp_path)}
    process = EngineProcess(engine=ENGINES["vllm"], pid=2**22 + 1, start_time=5.0, facts=facts)
    one = await watch(EngineServer.vllm(), process_of=lambda _instance: process)
    labels = '{engine="vllm",instance_name="chat"}'
    assert f"engine_weights_bytes{labels}" not in await one.look()
    reading = one.collector._model.thread
    assert reading is not None
    reading.join(10)
    found = await one.look()
    assert found[f"engine_weights_bytes{labels}"] == 1000
    assert found[f"engine_kv_cache_token_bytes{labels}"] == 2 * 2 * 64 * 2


async def test_slots_that_share_one_cache_are_not_added_up(watch: Watch) -> None:
    """A llama-server that chose the number of its slots lets each use the whole cache."""
    facts: dict[Fact, str] = {}
    process = EngineProcess(engine=ENGINES["llamacpp"], pid=7, start_time=5.0, facts=facts)
    server = EngineServer.llamacpp()
    one = await watch(server, engine="llamacpp", process_of=lambda _instance: process)
    capacity = next(value for name, value in (await one.look()).items() if "capacity" in name)
    assert capacity == 1024
    facts[Fact.MAX_NUM_SEQS] = "4"
    capacity = next(value for name, value in (await one.look()).items() if "capacity" in name)
    assert capacity == 4096


async def test_a_llama_server_without_slots_has_no_kv_use(watch: Watch) -> None:
    """`--no-slots` answers 501; the page alone is enough."""
    server = EngineServer.llamacpp()
    server.behaviours["/slots"] = fake.status(501)
    one = await watch(server, engine="llamacpp")
    assert not [name for name in await one.look() if "kv_cache" in name]
    await one.look()
    assert server.requests.count("/slots") == 1


async def test_what_an_old_llama_server_says_on_its_page_counts(watch: Watch) -> None:
    """Older releases have KV use on the page and in the slots: one series, not two."""
    server = EngineServer.llamacpp()
    server.documents["/metrics"] += b"llamacpp:kv_cache_usage_ratio 0.125\n"
    found = await (await watch(server, engine="llamacpp")).look()
    assert [value for name, value in found.items() if "kv_cache_usage_ratio" in name] == [0.125]


async def test_what_was_slow_once_is_asked_for_again(watch: Watch) -> None:
    """A llama-server that was busy for one look says its KV use again, without a restart."""
    server = EngineServer.llamacpp()
    server.behaviours["/slots"] = fake.hang()
    one = await watch(server, engine="llamacpp")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.2)
    del server.behaviours["/slots"]
    one.clock.advance(SLOW_INTERVAL - 1.0)
    assert not [name for name in await one.look() if "kv_cache_usage" in name]
    one.clock.advance(1.0)
    assert [name for name in await one.look() if "kv_cache_usage" in name]


async def test_what_was_said_before_a_slow_answer_stays_known(watch: Watch) -> None:
    """The limits of an engine that is too busy for a moment are what they were."""
    server = EngineServer.vllm()
    one = await watch(server)
    known = {name for name in await one.look() if "max_model_len" in name}
    assert known
    one.clock.advance(REFRESH_INTERVAL)
    server.behaviours["/v1/models"] = fake.hang()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(one.look(), 0.2)
    one.clock.advance(REFRESH_INTERVAL)
    assert known <= (await one.look()).keys()
