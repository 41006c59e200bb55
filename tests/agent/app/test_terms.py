"""What settings say of capacity and cost reaches the replicas that it is about."""

from agent.analysis.capacity.estimate import Limit, Limits
from agent.analysis.replicas import Replica
from agent.app.terms import terms_of
from agent.config import Settings, read_settings

CHAT = Replica("vllm", "chat", "big", "0")
OTHER = Replica("vllm", "other", "big", "0")
THIRD = Replica("llamacpp", "third", "small", "")

SETTINGS = read_settings(
    """
targets: {inter_token: gap}
capacity:
  declared:
    - {model_name: big, tokens_per_minute: 300000}
    - {instance: chat, tokens_per_minute: 100000}
  limits:
    - {max_num_batched_tokens: 8192}
    - {model_name: big, max_num_seqs: 64}
    - {instance: chat, max_num_seqs: 32}
cost:
  currency: EUR
  gpu_hour: 2
  gpus: {H200: 3.5}
  monthly_budget: 1000
  million_tokens: {input: 0.2, output: 1}
""",
    "f",
    engines=("vllm", "llamacpp"),
)


def test_the_closest_entry_counts():
    """What is said of an instance counts before its model's, and that before what is for all."""
    terms = terms_of(SETTINGS)
    tokens = Limit(8192.0, "file")
    assert terms.limits(CHAT) == Limits(sequences=Limit(32.0, "file"), step_tokens=tokens)
    assert terms.limits(OTHER) == Limits(sequences=Limit(64.0, "file"), step_tokens=tokens)
    assert terms.limits(THIRD) == Limits(step_tokens=tokens)
    assert [terms.declared(one) for one in (CHAT, OTHER, THIRD)] == [100_000.0, 300_000.0, None]
    assert terms.criterion == "gap"


def test_prices_are_those_of_the_file():
    """Each price is where it belongs."""
    prices = terms_of(SETTINGS).prices
    assert (prices.of_gpu("NVIDIA H200"), prices.of_gpu("NVIDIA A10")) == (3.5, 2.0)
    assert (prices.currency, prices.monthly_budget) == ("EUR", 1000.0)
    assert (prices.million_input_tokens, prices.million_output_tokens) == (0.2, 1.0)


def test_without_a_word_nothing_is_known():
    """The defaults declare nothing and cost nothing."""
    terms = terms_of(Settings())
    assert terms.limits(CHAT) == Limits()
    assert terms.declared(CHAT) is None
    assert terms.prices.of_gpu("NVIDIA H200") is None
    assert terms.criterion == "request"
