"""A source of samples that is a dictionary."""

from collections.abc import Iterable, Mapping, Sequence

from agent.store.series import Labels, Matcher, SeriesSamples, milliseconds


class MemorySource:
    """Samples in memory, as simple as the contract of `Source` allows."""

    def __init__(self) -> None:
        self._samples: dict[Labels, dict[int, float]] = {}

    def add(self, labels: Labels, samples: Iterable[tuple[float, float]]) -> None:
        """Take samples of a series: Unix seconds and value."""
        known = self._samples.setdefault(labels, {})
        for time, value in samples:
            known[milliseconds(time)] = value

    def select(
        self, matchers: Sequence[Matcher], start: float, end: float
    ) -> Sequence[SeriesSamples]:
        """Return the samples of the series that satisfy every matcher; see `Source`."""
        found = []
        for labels, samples in sorted(self._samples.items()):
            if matching(matchers, labels):
                chosen = sorted(
                    (time / 1000, value)
                    for time, value in samples.items()
                    if start < time / 1000 <= end
                )
                times, values = [time for time, _ in chosen], [value for _, value in chosen]
                found.append(SeriesSamples(labels, times, values))
        return found


def matching(matchers: Sequence[Matcher], labels: Labels) -> bool:
    """Return whether a series satisfies every matcher."""
    values: Mapping[str, str] = dict(labels)
    return all(item.matches(values.get(item.name, "")) for item in matchers)


def labelled(name: str = "", /, **labels: str) -> Labels:
    """Return a label set."""
    pairs = {**labels, **({"__name__": name} if name else {})}
    return tuple(sorted((key, value) for key, value in pairs.items() if value))
