"""What the words of the field mean, for somebody who has never met them."""

from typing import Final

from exporters.web.markup import element, escaped, heading

TERMS: Final = {
    "engine": (
        "Engine",
        (
            "The program that serves a language model, such as vLLM or llama.cpp. It runs many "
            "requests at once, in a batch."
        ),
    ),
    "verdict": (
        "Verdict",
        (
            "What holds an engine back at this moment, in one word, with the numbers that show "
            "it and what would change it. Healthy means that requests get their answers within "
            "the targets."
        ),
    ),
    "token": (
        "Token",
        (
            "The piece of text that a model reads and writes: about three quarters of an "
            "English word. Load is counted in tokens a minute, those of prompts and those of "
            "answers."
        ),
    ),
    "first-token": (
        "Time to first token",
        (
            "From the arrival of a request until the first piece of its answer. p95: of 100 "
            "requests, 95 were faster."
        ),
    ),
    "inter-token": (
        "Inter-token latency",
        "From one piece of an answer to the next: how fluently text appears. p95 as above.",
    ),
    "batch": (
        "Running and waiting",
        (
            "Requests that the engine works on now (the batch), and those that wait for a place "
            "in it."
        ),
    ),
    "kv-cache": (
        "KV cache",
        (
            "Memory in which the engine keeps what it has read of each request (keys and "
            "values). When it is full, requests wait or are thrown out of the batch and begun "
            "anew, which is called preemption."
        ),
    ),
    "capacity": (
        "Capacity",
        (
            "The highest load at which the latency targets still hold for 95 of 100 requests, "
            "at requests as they are now. It is learned from production traffic and given with "
            "an interval that is meant to hold the truth in 90 of 100 cases."
        ),
    ),
    "demand": (
        "Demand",
        "What clients asked for in the last minute, in tokens, requests that still wait included.",
    ),
    "headroom": (
        "Headroom",
        (
            "What is left between the demand and the lower end of the capacity, as a share of "
            "that end too. Below zero, more is asked than surely fits."
        ),
    ),
    "forecast": (
        "Forecast",
        (
            "When something will run out if things go on as they do, with an interval: in 90 of "
            "100 cases it lies within. Where nothing is foreseen, that is said."
        ),
    ),
    "gpu-activity": (
        "GPU busy",
        (
            "Share of the time in which the GPU had any work. A GPU that is always busy is not "
            "yet used well: one small request keeps it busy too."
        ),
    ),
    "clocks": (
        "Clocks held down",
        "The GPU runs slower than it could, for lack of power or for heat.",
    ),
    "source": (
        "Source",
        (
            "Something that the agent reads each second: the GPU driver, an engine's page, the "
            "host. Absent is no failure: there is no such thing on this host."
        ),
    ),
}
"""By key: the term and what it means."""


def glossary() -> str:
    """Return what the words mean."""
    entries = [
        element("dt", {"id": f"what-{key}", "tabindex": "-1"}, escaped(name))
        + element("dd", {}, escaped(meaning))
        for key, (name, meaning) in TERMS.items()
    ]
    return element(
        "section",
        {"class": "words"},
        heading(2, "What the words mean", anchor="words"),
        element("dl", {}, *entries),
    )
