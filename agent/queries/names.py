"""Which series there are, what labels they have and what values of those: no samples are read."""

from collections.abc import Iterator, Sequence

from agent.promql import PromqlError, parse
from agent.promql.plan import Shift
from agent.promql.run import VectorExpr
from agent.queries.asked import Asked
from agent.queries.samples import Samples
from agent.store.series import Labels, Matcher, satisfies

Matchers = tuple[Matcher, ...]


def selector_of(text: str) -> Matchers:
    """Return the conditions of a selector.

    Raises:
        PromqlError: it is none.
    """
    query = parse(text, experimental=True)
    root = query.root
    if not isinstance(root, VectorExpr) or not root.matchers or len(query.selectors) != 1:
        raise PromqlError(f"{text}: expected a selector, such as up or {{job='node'}}")
    if query.selectors[0].shift != Shift():
        raise PromqlError(f"{text}: a selector of series has no offset and no @")
    return query.selectors[0].matchers


def series(asked: Asked, source: Samples) -> list[Labels]:
    """Return the labels of the series that satisfy any of the selectors, sorted.

    Without a selector that is every series. Those on disk are told by the day on which they were
    seen last.

    Raises:
        PromqlError: a selector is none.
    """
    wanted: list[Matchers] = [selector_of(text) for text in asked.selectors] or [()]
    found: set[Labels] = set()
    for labels in _in_memory(asked, source):
        if labels not in found and any(satisfies(labels, matchers) for matchers in wanted):
            found.add(labels)
    for matchers in wanted:
        found.update(source.stored(matchers, _start(asked)))
    return sorted(found)


def _start(asked: Asked) -> float:
    """Return from when on series are wanted."""
    return 0.0 if asked.start is None else asked.start


def _in_memory(asked: Asked, source: Samples) -> Iterator[Labels]:
    """Yield the labels of what is in memory, several times at that."""
    for stretch in source.memory.stretches:
        if stretch.first / 1000 <= asked.end and stretch.last / 1000 >= _start(asked):
            yield from stretch.present()


def label_names(found: Sequence[Labels]) -> list[str]:
    """Return the names of all labels, sorted."""
    return sorted({name for labels in found for name, _value in labels})


def label_values(found: Sequence[Labels], name: str) -> list[str]:
    """Return the values that a label has, sorted."""
    return sorted({value for labels in found for key, value in labels if key == name})
