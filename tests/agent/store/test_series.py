"""Matchers, and the value that ends a series."""

import math
import struct

import pytest

from agent.store.series import STALE, Matcher, MatchOp, is_stale, milliseconds


def test_the_staleness_marker_has_the_bits_of_prometheus():
    """It is the NaN that Prometheus writes, and no other NaN is taken for it."""
    assert struct.pack(">d", STALE).hex() == "7ff0000000000002"
    assert is_stale(STALE)
    assert not is_stale(math.nan)
    assert not is_stale(1.0)


@pytest.mark.parametrize(
    ("op", "value", "matching", "other"),
    [
        (MatchOp.EQUAL, "ab", ["ab"], ["", "abc"]),
        (MatchOp.NOT_EQUAL, "ab", ["", "abc"], ["ab"]),
        (MatchOp.REGEX, "a.|", ["ab", "", "a\n"], ["abc", "xab"]),
        (MatchOp.NOT_REGEX, "a.*", ["", "b"], ["a", "abc"]),
        (MatchOp.EQUAL, "", [""], ["a"]),
    ],
)
def test_a_matcher_judges_the_whole_value(
    op: MatchOp, value: str, matching: list[str], other: list[str]
):
    """Regular expressions are anchored at both ends; a missing label is an empty one."""
    matcher = Matcher("x", op, value)
    assert [matcher.matches(found) for found in matching] == [True] * len(matching)
    assert [matcher.matches(found) for found in other] == [False] * len(other)


def test_times_compare_in_milliseconds():
    """Floats that stand for the same millisecond are the same time."""
    assert milliseconds(1800000000.1) == milliseconds(1800000000.1000002) == 1800000000100
