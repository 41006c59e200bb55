"""A file of limits: YAML, JSON or a command line, and every problem of it by name."""

import json
from pathlib import Path

import pytest

from agent.app.estimate import limits_from
from agent.config import Settings
from agent.config.planning import Capacity, EngineLimits
from agent.config.settings import ModelTargets, Targets
from agent.model import ConfigError

BOTH = (EngineLimits(max_num_seqs=32, max_num_batched_tokens=2048),)


def _limits(folder: Path, text: str) -> tuple[EngineLimits, ...]:
    """Return the limits of a file of this content."""
    path = folder / "limits"
    path.write_text(text)
    return limits_from(path).limits


@pytest.mark.parametrize(
    "text",
    [
        "max_num_seqs: 32\nmax_num_batched_tokens: 2048\n",
        '{"max_num_seqs": 32, "max_num_batched_tokens": 2048}',
        "--max-num-seqs: 32\n--max-num-batched-tokens: '2048'\n",
        "max-num-seqs: 32\nmax-num-batched-tokens: 2048\nmax_model_len: 4096\nmodel: x\n",
        "vllm serve x --max-num-seqs 32 --max-num-batched-tokens=2048 --port 1",
        "--max_num_seqs=32 \\\n  --max-num-batched-tokens 2k\n".replace("2k", "2048"),
        """python -m vllm.entrypoints.openai.api_server --max-num-seqs 32 \\
        --max-num-batched-tokens 2048 --compilation-config '{"level": 3}'""",
    ],
)
def test_one_meaning_in_many_forms(tmp_path: Path, text: str):
    """Keys as settings or as flags, JSON, or the command line that the engine was started with."""
    assert _limits(tmp_path, text) == BOTH


def test_models_and_instances_have_their_own(tmp_path: Path):
    """Limits may be told of a model or an instance; targets of a model."""
    path = tmp_path / "limits.json"
    whole = {
        "max_num_seqs": 16,
        "targets": {"time_to_first_token": "2s"},
        "models": {"big": {"max-num-seqs": 8, "inter_token_latency": 0.1}},
        "instances": {"chat": {"max_num_batched_tokens": 512}},
    }
    path.write_text(json.dumps(whole))
    found = limits_from(path)
    assert found.limits == (
        EngineLimits(max_num_seqs=16),
        EngineLimits(model_name="big", max_num_seqs=8),
        EngineLimits(instance="chat", max_num_batched_tokens=512),
    )
    assert found.targets == {"time_to_first_token": 2.0}
    assert found.model_targets == (ModelTargets(model_name="big", inter_token_latency=0.1),)


def test_the_file_counts_before_the_settings(tmp_path: Path):
    """What the file says replaces what the settings said of the same; the rest stays."""
    path = tmp_path / "limits"
    path.write_text("max_num_seqs: 32\ninter_token_latency: 50ms\n")
    before = Settings(
        targets=Targets(
            time_to_first_token=3.0,
            models=(ModelTargets(model_name="m", inter_token_latency=1.0),),
        ),
        capacity=Capacity(
            limits=(EngineLimits(max_num_seqs=1), EngineLimits(model_name="m", max_num_seqs=2))
        ),
    )
    after = limits_from(path).over(before)
    assert after.targets.time_to_first_token == 3.0
    assert after.targets.inter_token_latency == 0.05
    assert after.targets.models[0].inter_token_latency is None
    assert after.capacity.limits == (
        EngineLimits(max_num_seqs=32),
        EngineLimits(model_name="m", max_num_seqs=2),
    )


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "max_seqs: 3\nmax_num_seqs: many\n",
            [
                "max_seqs: unknown key; expected max_num_seqs, max_num_batched_tokens, targets, ",
                "max_num_seqs: expected a whole number from 1 to 100000000",
            ],
        ),
        ("- 1\n", ["expected keys with values"]),
        ("models: 3\n", ["models: expected names, each with its limits"]),
        (
            "instances: {a: {time_to_first_token: 1s}}",
            ["instances.a: targets are those of a model"],
        ),
        ("targets: {ttft: 1}", ["targets: ttft: unknown key; expected time_to_first_token"]),
        ("vllm serve x", ["is neither YAML with keys nor a command line with --max-num-seqs"]),
        ("what's this", ["is neither YAML nor a command line: No closing quotation"]),
    ],
)
def test_what_is_not_known_is_refused_by_name(tmp_path: Path, text: str, problems: list[str]):
    """Each problem is a line with the file's name and what was expected."""
    with pytest.raises(ConfigError) as caught:
        _limits(tmp_path, text)
    told = str(caught.value).splitlines()
    assert len(told) == len(problems)
    for line, problem in zip(told, problems, strict=True):
        assert line.startswith(f"{tmp_path}/limits: {problem}")


def test_a_missing_file_is_refused(tmp_path: Path):
    """A name that leads nowhere is said to."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        limits_from(tmp_path / "none")


def test_an_empty_file_says_nothing(tmp_path: Path):
    """Nothing written is nothing known."""
    assert _limits(tmp_path, "") == ()
