"""Answers to callers, as the access log of an engine's server names them.

vLLM checks its keys before it counts, so that what it answers with 401 is in its log alone. Its
server is uvicorn; the lines of llama.cpp are those of the releases that wrote any.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

STATUSES: Final[tuple[str, ...]] = ("2xx", "400", "401", "403", "404", "429", "4xx", "5xx")
"""What answers are counted by: a code of its own where people ask for another reason."""

_METHOD: Final = rb"([A-Z]{3,10}) \S{1,9000} "
# `INFO:     10.0.0.7:43210 - "POST /v1/completions HTTP/1.1" 401 Unauthorized`, also as text in
# JSON, which ends with the code. What a prompt in the log says of answers is followed by more.
_UVICORN: Final = (
    rb' - \\?"' + _METHOD + rb'HTTP/\d(?:\.\d)?\\?" ([1-5]\d\d)'
    rb"(?: [A-Za-z' -]{0,40})?(?:\s*$|\\[nr]|\")"
)
# `srv  log_server_r: done request: POST /v1/completions 10.0.0.7 401`
_LLAMACPP: Final = rb"log_server_r: (?:done )?request: " + _METHOD + rb"\S{1,60} ([1-5]\d\d)\s*$"

_LINES: Final[Mapping[str, re.Pattern[bytes]]] = {
    "vllm": re.compile(_UVICORN),
    "llamacpp": re.compile(_LLAMACPP),
}
_OWN: Final[Mapping[bytes, str]] = {
    status.encode(): status for status in STATUSES if status.isdecimal()
}
_CLASSES: Final[Mapping[bytes, str]] = {b"2": "2xx", b"4": "4xx", b"5": "5xx"}


class AnswersWatch:
    """Counts what the access log of one engine says of answers.

    Only POST counts: that is how prompts are sent, and what asks with GET is mostly a monitor, this
    agent among them, which needs no key of a user.

    Args:
        engine: the kind; of one that is not known no line is understood.
    """

    def __init__(self, engine: str) -> None:
        self._line = _LINES.get(engine)
        self._counts: dict[str, int] = dict.fromkeys(STATUSES, 0)
        self._names_answers = False
        self._shown = False

    def restart(self) -> None:
        """Forget that the log names answers: the engine may have been started with another one."""
        self._names_answers = False

    def take(self, line: bytes) -> bool:
        """Return whether a line is one of an access log, and count what it says.

        Args:
            line: as it was written, without colours.
        """
        found = None if self._line is None else self._line.search(line)
        if found is None:
            return False
        self._names_answers = True
        method, code = found.groups()
        if method == b"POST":
            status = _OWN.get(code) or _CLASSES.get(code[:1])
            if status is not None:
                self._counts[status] += 1
        return True

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yield each of `STATUSES` with its count; nothing while no line has named an answer.

        All are 0 the first time, so that what came with the first look is an increase.
        """
        if not self._names_answers:
            return
        for status, count in self._counts.items():
            yield status, count if self._shown else 0
        self._shown = True
