"""Regular expressions in the syntax of RE2."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store.regex import compile_re2


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("a|b", ["a", "b"], ["ab", "c", ""]),
        ("", [""], ["a"]),
        (".*", ["", "a\nb"], []),
        ("(?i)vllm", ["VLLM", "vLLm"], ["vllm2"]),
        ("((?i)a)b", ["ab", "Ab"], ["aB"]),
        ("a(?i)b|c", ["ab", "aB", "c", "C"], ["Ab"]),
        ("a((?i)b|c)d", ["aBd", "aCd"], ["aBD", "Abd"]),
        ("(?i:a)b", ["Ab"], ["aB"]),
        ("(?i)a(?-i)b", ["Ab"], ["AB"]),
        ("(?:a+)?b", ["b", "aab"], ["a"]),
        ("[[:digit:]]+", ["123"], ["a", "\u0661"]),
        (r"\d+", ["123"], ["\u0661"]),
        (r"[\d\-]+", ["1-2"], ["a"]),
        ("[^[:alpha:]_]", ["1"], ["a", "_"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[[a]", ["[", "a"], ["b"]),
        ("[a&&b~~|]", ["a", "&", "b", "~", "|"], ["c"]),
        (r"a\.b", ["a.b"], ["axb"]),
        (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb"]),
        (r"a$", ["a"], ["a\n"]),
        (r"a\z", ["a"], ["a\n"]),
        ("a{2}", ["aa"], ["a"]),
        ("a{2,}", ["aa", "aaa"], ["a"]),
        ("a{,2}", ["a{,2}"], ["a", "aa"]),
        ("a{x", ["a{x"], ["a"]),
        ("(?P<x>a)|(?<y>b)", ["a", "b"], ["c"]),
        (r"\x{41}\x42", ["AB"], ["41"]),
        ("a.*?b", ["axxb"], ["a"]),
        ("(|a)", ["", "a"], ["b"]),
        (r"\\", ["\\"], ["\\\\"]),
    ],
)
def test_matches(pattern: str, matched: list[str], others: list[str]):
    """A pattern matches what it matches in Prometheus."""
    compiled = compile_re2(pattern)
    assert [text for text in matched if not compiled.fullmatch(text)] == []
    assert [text for text in others if compiled.fullmatch(text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[a",
        "*",
        "a**",
        "a++",
        "a*+",
        "a{2}+",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?>a)",
        r"(a)\1",
        "(?P=x)",
        "(?#a)",
        "(?x)a",
        "(?m)a$",
        r"\Z",
        r"\pL",
        "a\\",
        "[[:nothing:]]+(",
        "a{99999999999}",
        "(" * 5000 + ")" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_refused(pattern: str):
    """What RE2 does not know, or `re` could not do in its way, is refused."""
    with pytest.raises(re.error):
        compile_re2(pattern)


@given(st.text(max_size=30))
def test_quoted_text_matches_itself(text: str):
    """A text in which every character is escaped matches itself and nothing longer."""
    compiled = compile_re2(re.escape(text))
    assert compiled.fullmatch(text)
    assert not compiled.fullmatch(text + "x")


@given(st.text(alphabet="ab|()[]{}?*+^$.\\-:iP<>&~,2\n", max_size=14))
def test_any_text_is_a_pattern_or_an_error(pattern: str):
    """Nothing but `re.error` comes from a wrong pattern, and no warning from a right one."""
    with contextlib.suppress(re.error):
        compile_re2(pattern)
