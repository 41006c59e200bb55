"""Which series a segment has anything of, and which of them a selector means."""

from collections.abc import Iterable, Mapping, Sequence

from agent.store.layout import REMEMBERED
from agent.store.series import Labels, Matcher, plain_name, satisfies
from agent.store.target import Directory


class Present:
    """Series that come and do not go; added to in one thread, asked in any."""

    def __init__(self) -> None:
        self._ids: dict[int, None] = {}
        self._named: tuple[int, Mapping[str, Sequence[int]]] = (0, {})
        self._matched: dict[tuple[Matcher, ...], tuple[int, dict[int, Labels]]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._ids)

    def add(self, ids: Iterable[int]) -> None:
        """Take note of series, of which any may be known."""
        self._ids.update(dict.fromkeys(ids))

    def series(self) -> set[int]:
        """Return them all."""
        return set(self._ids.copy())

    def matching(self, matchers: tuple[Matcher, ...], directory: Directory) -> dict[int, Labels]:
        """Return the series that satisfy every matcher, with their labels."""
        count = len(self._ids)
        known = self._matched.get(matchers)
        if known is not None and known[0] == count:
            return known[1]
        name = plain_name(matchers)
        ids = list(self._ids.copy()) if name is None else self.names(directory).get(name, ())
        found = {
            series_id: labels
            for series_id in ids
            if satisfies(labels := directory.labels(series_id), matchers)
        }
        if len(self._matched) >= REMEMBERED:
            self._matched.clear()
        self._matched[matchers] = (count, found)
        return found

    def names(self, directory: Directory) -> Mapping[str, Sequence[int]]:
        """Return the series by the name of their samples."""
        count, names = self._named
        if count < len(self._ids):
            # Made whole and then put in place: another thread may be at it.
            named: dict[str, list[int]] = {}
            ids = list(self._ids.copy())
            for series_id in ids:
                named.setdefault(directory.name(series_id), []).append(series_id)
            self._named, names = (len(ids), named), named
        return names
