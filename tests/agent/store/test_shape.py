"""What was worked out of labels is remembered for as long as they stand, and no longer."""

from collections.abc import Sequence

import pytest

from agent.store.series import Labels
from agent.store.shape import Shape, once, once_with

ONE: Labels = (("a", "1"),)
TWO: Labels = (("a", "2"),)


def test_a_function_is_called_once_for_a_shape():
    """Rules ask for the same of the same labels each second."""
    asked: list[object] = []

    def count(labels: Sequence[Labels]) -> int:
        asked.append(labels)
        return len(labels)

    shape = Shape((ONE, TWO))
    assert [once(shape, count, count) for _time in range(3)] == [2, 2, 2]
    assert len(asked) == 1
    assert [once([ONE], count, count) for _time in range(2)] == [1, 1]
    assert len(asked) == 3


def test_what_fails_is_tried_again():
    """An error is said at every evaluation, not at the first alone."""
    shape = Shape((ONE,))

    def fail(_labels: Sequence[Labels]) -> None:
        raise LookupError

    for _time in range(2):
        with pytest.raises(LookupError):
            once(shape, fail, fail)


def test_pairs_are_told_apart_by_identity():
    """Each other shape has an answer of its own, also one that is made where another was."""

    def second(_labels: Sequence[Labels], others: Sequence[Labels]) -> str:
        return others[0][0][1]

    shape = Shape((ONE,))
    for number in range(500):
        other = Shape(((("a", str(number)),),))
        assert once_with(shape, other, second, second) == str(number)
        assert once_with(shape, other, second, second) == str(number)


def test_little_is_remembered():
    """Queries of people come and go; what they asked does not collect."""
    shape = Shape((ONE,))
    for number in range(1000):
        shape.once(number, len)
    assert len(shape._known) <= 64


def test_what_a_mask_leaves_is_the_same_object():
    """A rule that finds the same few series each second works out their labels once."""
    shape = Shape((ONE, TWO))
    assert shape.where((True, False)) is shape.where((True, False))
    assert shape.where((False, True)) == (TWO,)
