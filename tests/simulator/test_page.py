"""The page of a simulated vLLM against the captured page of a real one."""

import random
import re

import pytest

from tests.fakes.engine_server import capture
from tests.simulator.engine import Engine
from tests.simulator.law import StepLaw
from tests.simulator.limits import Limits
from tests.simulator.page import PageTemplate
from tests.simulator.workload import Evenly, Mix, OpenLoop, steady

CAPTURED = Limits(
    max_num_seqs=16,
    max_num_batched_tokens=2048,
    num_blocks=96,
    block_size=32,
    max_model_len=2048,
)


def engine() -> Engine:
    """Return an engine that has done something."""
    mix = Mix(prompt=Evenly(128, 512), output=Evenly(64, 192))
    dice = random.Random(1)
    load = OpenLoop(mix, steady(2.0), highest=2.0, dice=dice)
    law = StepLaw(host=0.002, weights=0.01, kv=7e-6, token=8e-4)
    one = Engine(law, CAPTURED, load, dice=dice)
    one.advance(60.0)
    return one


def samples(page: str) -> dict[str, float]:
    """Return the value of each sample by its name and labels, which come in any order."""
    found = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            head, _, value = line.rpartition(" ")
            name, _, labels = head.partition("{")
            parts = sorted(re.findall(r'(\w+)="([^"]*)"', labels))
            found[f"{name}{parts}"] = float(value)
    return found


def described(page: str) -> list[str]:
    """Return the HELP and TYPE lines."""
    return [line for line in page.splitlines() if line.startswith("#")]


def test_it_has_what_a_real_page_has():
    """Families, labels, buckets and facts are those of the captured page, no more and no less."""
    real = capture("vllm-04-saturated.prom").decode()
    page = PageTemplate(CAPTURED, model="tiny").write([engine().flat()], start=1.8e9).decode()
    assert described(page) == described(real)
    # The capture had its number of blocks from the command line.
    given, not_given = (f"('num_gpu_blocks_override', '{value}')" for value in (96, None))
    assert set(samples(page)) == {name.replace(given, not_given) for name in samples(real)}


def test_two_ranks_have_the_labels_of_two():
    """Each rank has all series of the engine, and those of the server stand once, as captured."""
    real = samples(capture("vllm-08-dp2.prom").decode())
    flat = engine().flat()
    template = PageTemplate(CAPTURED, model="tiny", ranks=2)
    page = samples(template.write([flat, flat], start=1.8e9).decode())
    ours = {name for name in page if "vllm:" in name and "config" not in name}
    theirs = {name for name in real if "vllm:" in name and "config" not in name}
    assert ours == theirs


def test_it_shows_the_numbers_of_the_engine():
    """What the engine counted stands under vLLM's names, and histograms end in their count."""
    one = engine()
    flat, places = one.flat(), one.meter.places()
    page = samples(PageTemplate(CAPTURED, model="m").write([flat], start=1.8e9).decode())
    own = "('engine', '0')", "('model_name', 'm')"
    for name, counter in (("generation_tokens", "generation"), ("num_preemptions", "preemptions")):
        assert page[f"vllm:{name}_total[{own[0]}, {own[1]}]"] == flat[places[counter, ""]]
    for name in one.meter.tallies:
        count = page[f"vllm:{name}_count[{own[0]}, {own[1]}]"]
        assert page[f"vllm:{name}_bucket[{own[0]}, ('le', '+Inf'), {own[1]}]"] == count > 0
    assert page["process_start_time_seconds[]"] == 1.8e9


def test_buckets_of_lengths_reach_to_the_longest_request():
    """As in vLLM, a longer context has more buckets of lengths."""
    limits = Limits(max_num_seqs=4, num_blocks=8192, max_model_len=32_768)
    mix = Mix(prompt=Evenly(1, 2), output=Evenly(1, 2))
    load = OpenLoop(mix, steady(0.0), highest=0.0, dice=random.Random(1))
    law = StepLaw(host=0.0, weights=0.01, kv=0.0, token=1e-4)
    flat = Engine(law, limits, load, dice=random.Random(1)).flat()
    page = PageTemplate(limits).write([flat], start=1.8e9).decode()
    found = re.findall(r'vllm:request_prompt_tokens_bucket\{.*?le="([^"]+)"', page)
    assert found[-3:] == ["10000.0", "20000.0", "+Inf"]
    assert pytest.approx(1.0) == float(found[0])
