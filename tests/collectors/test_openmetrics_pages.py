"""Pages read as the official parser reads them: generated ones, and captures of real engines."""

import gzip
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.openmetrics import PageError, PageScanner
from tests.collectors.oracle import Everything, oracle, scanned

HERE = Path(__file__).parents[1] / "captures"

SHARED = Path(__file__).parents[2].parent / "shared" / "captures"

names = st.sampled_from(["a", "a:b", "vllm:x_total", "_y", "x_bucket", "le", "HELP"])

label_names = st.sampled_from(["le", "model_name", "a", "engine", "_b"])

label_values = st.text(
    st.one_of(st.sampled_from('ab ,={}"\\#\té0_:'), st.characters(codec="utf-8")), max_size=8
)

numbers = st.one_of(
    st.floats().map(repr),
    st.integers(-(2**53), 2**53).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "inf", "1e3", "1E+22", "-0", ".5", "5.", "0x1", "1_0"]),
)


def escaped(value: str) -> str:
    """Write a label value as the text format wants it."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@st.composite
def series_texts(draw: st.DrawFn) -> str:
    """Draw the part of a line before the value, mostly plain, sometimes odd but legal."""
    name = draw(names)
    labels = draw(st.dictionaries(label_names, label_values, max_size=3))
    if not labels:
        return name + draw(st.sampled_from(["", "", "", "{}", " {}"]))
    inside = ",".join(f'{key}="{escaped(value)}"' for key, value in labels.items())
    comma = draw(st.sampled_from(["", "", "", ",", " "]))
    return name + draw(st.sampled_from(["", "", "", " "])) + "{" + inside + comma + "}"


pools = st.lists(series_texts(), min_size=1, max_size=8)

spaces = st.sampled_from([" ", " ", " ", " ", " ", "  ", "\t", " \t"])

tails = st.sampled_from(["", "", "", "", "", " 1700000000000", " ", "\r", ' # {t="x"} 1'])

heads = st.sampled_from(["", "", "", "", "", "", " "])

silent = st.sampled_from(
    ["", "  ", "# EOF", "# HELP a some {text} here 1", "# TYPE a gauge", "# a 1", "#", " # b"]
)


@st.composite
def page_sequences(draw: st.DrawFn) -> list[bytes]:
    """Draw pages as one source would give them: new numbers, and now and then other lines."""
    pool = draw(pools)
    kept = draw(st.lists(st.one_of(st.sampled_from(pool), st.none()), max_size=8))
    pages = []
    for _ in range(draw(st.integers(1, 5))):
        change = draw(st.sampled_from(["none", "none", "shuffle", "drop", "add", "swap"]))
        if change == "shuffle":
            kept = draw(st.permutations(kept))
        elif change == "drop":
            kept = kept[1:]
        elif change == "add":
            kept = [*kept, draw(st.sampled_from(pool))]
        elif change == "swap" and kept:
            where = draw(st.integers(0, len(kept) - 1))
            kept = [*kept[:where], draw(st.sampled_from(pool)), *kept[where + 1 :]]
        odd = draw(st.booleans())
        lines = [
            draw(silent)
            if series is None
            else (draw(heads) + series + draw(spaces) + draw(numbers) + draw(tails))
            if odd
            else f"{series} {draw(numbers)}"
            for series in kept
        ]
        pages.append("".join(f"{line}\n" for line in lines).encode())
    return pages


@settings(max_examples=400, deadline=None)
@given(page_sequences())
def test_every_page_of_a_sequence_reads_as_the_official_parser_reads_it(pages: list[bytes]):
    """Names, labels and values are the official parser's, and a page it refuses is refused."""
    wanted = Everything()
    scanner = PageScanner(wanted)
    for page in pages:
        try:
            expected = oracle(page)
        except (ValueError, IndexError):
            with pytest.raises(PageError):
                scanner.scan(page)
            continue
        assert wanted.explain(*scanner.scan(page)) == expected


@settings(max_examples=200, deadline=None)
@given(page_sequences(), st.integers(0, 7))
def test_what_is_not_wanted_changes_nothing_for_the_rest(pages: list[bytes], salt: int):
    """With some series unwanted, the wanted ones read as they do when all are wanted."""
    everything = Everything()

    def some(name: str, labels: Mapping[str, str]) -> int | None:
        number = everything(name, labels)
        return number if (number + salt) % 2 else None

    picky = PageScanner(some)
    for page in pages:
        try:
            expected = [item for item in oracle(page) if some(item[0], dict(item[1])) is not None]
        except (ValueError, IndexError):
            picky = PageScanner(some)
            continue
        assert everything.explain(*picky.scan(page)) == expected


def captured() -> Iterator[tuple[str, bytes]]:
    """Yield the pages that lie beside the tests."""
    for path in sorted(HERE.glob("*.prom*")):
        body = path.read_bytes()
        yield path.name, gzip.decompress(body) if path.suffix == ".gz" else body


@pytest.mark.parametrize(("name", "page"), list(captured()), ids=[n for n, _ in captured()])
def test_captured_pages_read_as_the_official_parser_reads_them(name: str, page: bytes):
    """A real page gives the official values when first seen and when its layout is known."""
    expected = oracle(page)
    assert expected, name
    assert scanned(page) == expected
    assert scanned(page, page) == expected


@pytest.mark.parametrize(
    "name",
    ["vllm-ramp", "vllm-capacity", "vllm-aborts", "vllm-enginecrash", "vllm-warm", "llama-ramp"],
)
def test_a_series_of_real_scrapes_reads_as_the_official_parser_reads_it(name: str):
    """One scanner over a real engine's pages, second by second, never differs."""
    path = SHARED / f"{name}.metrics.jsonl.gz"
    if not path.exists():
        pytest.skip("the full captures are not here")
    with gzip.open(path, "rt") as lines:
        bodies = [json.loads(line) for line in lines]
    pages = [
        item["body"].encode()
        for item in bodies
        if item.get("code") == 200 and item["path"] == "/metrics"
    ]
    wanted = Everything()
    scanner = PageScanner(wanted)
    checked = set(random.Random(1).sample(range(len(pages)), min(6, len(pages))))
    for number, page in enumerate(pages):
        found = scanner.scan(page)
        if number in checked:
            assert wanted.explain(*found) == oracle(page)
