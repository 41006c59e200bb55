"""Take out of a recording what it should not tell."""

import re

from agent.model import Event

# Where a path begins, or how the file of a model ends: llama.cpp names a model by its file.
_PATH = re.compile(r"(?:/|\.\.?/|~|file:).*|.*/.*\.(?:gguf|safetensors|bin|pt)", re.DOTALL)


class Scrubber:
    """Replaces what could name people, customers or folders by numbered words.

    The same text gets the same word, so that a recording stays consistent in itself.
    """

    LABELS = frozenset({"process", "path", "command"})

    def __init__(self) -> None:
        self._words: dict[str, str] = {}

    def label(self, name: str, value: str) -> str:
        """Return the label value, or a word in its place."""
        if value and (name in self.LABELS or _PATH.fullmatch(value)):
            return self._words.setdefault(value, f"{name}-{len(self._words) + 1}")
        return value

    def event(self, event: Event) -> Event:
        """Return the event without its sentence and with scrubbed labels."""
        labels = {name: self.label(name, value) for name, value in event.labels.items()}
        return Event(event.time, event.kind, event.source, labels)
