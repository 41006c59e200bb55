"""What is said of a result is put into words once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.analysis.said_once import SaidOnce, Sample
from agent.catalog import latency as catalog


@dataclass(frozen=True)
class Result:
    """Something that a part concluded."""

    value: float


@dataclass
class Asked:
    """Says a result, and notes which."""

    about: list[Result] = field(default_factory=list)

    def say(self, result: Result) -> Iterator[Sample]:
        """Yield the one sample of a result."""
        self.about.append(result)
        yield catalog.TOKENS_PER_SECOND, (), result.value


def test_a_result_is_said_once_and_an_equal_other_one_anew() -> None:
    """It is the object that counts: to compare two costs more than to say it."""
    asked, one, other = Asked(), Result(1.0), Result(1.0)
    said = SaidOnce(asked.say)
    for result in (one, one, other, other, one):
        assert said.of(result) == [(catalog.TOKENS_PER_SECOND, (), 1.0)]
    assert asked.about == [one, other, one]


def test_no_digits_that_mean_nothing() -> None:
    """What is kept is what is published."""
    said = SaidOnce(Asked().say)
    assert said.of(Result(1.0 / 3.0)) == [(catalog.TOKENS_PER_SECOND, (), 0.333333)]
