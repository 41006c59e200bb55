"""Take out of a recording what it should not tell."""

import re

from agent.model import Event

# How a path or an address begins, or a path that ends in the name of a file.
_PATH = re.compile(
    r"(?:/|\.\.?/|~|file:|[a-z][a-z0-9+.-]*://).*|.*/[^/]*\.[A-Za-z][A-Za-z0-9]{0,11}", re.DOTALL
)


class Scrubber:
    """Replaces what could name people, customers or folders by numbered words.

    The values of the labels in `LABELS` are replaced entirely, those of others where they look
    like a path or an address. The same text gets the same word, so that a recording stays
    consistent in itself.
    """

    LABELS = frozenset({"command", "instance_name", "model", "model_name", "path", "process"})

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def label(self, name: str, value: str) -> str:
        """Return the label value, or a word in its place."""
        if value and (name in self.LABELS or _PATH.fullmatch(value)):
            return self._words.setdefault(value, f"{name}-{len(self._words) + 1}")
        return value

    def source(self, name: str) -> str:
        """Return the name of a source; that of an engine has the name of its instance in it."""
        kind, slash, instance = name.partition("/")
        return kind + slash + self.label("instance_name", instance)

    def event(self, event: Event) -> Event:
        """Return the event without its sentence and with scrubbed labels."""
        labels = {name: self.label(name, value) for name, value in event.labels.items()}
        return Event(event.time, event.kind, self.source(event.source), labels)
