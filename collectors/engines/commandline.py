"""What a command line says: which engine it starts, and with which settings.

A command line may hold secrets. Only the flags that a profile names are read, and nothing of the
rest is kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from collectors.engines.profile import Engine, Fact

_PYTHON: Final = re.compile(r"(python|pypy)[0-9.]*t?")
_PYTHON_FLAGS_WITH_VALUE: Final = ("-X", "-W", "--check-hash-based-pycs")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_HUMAN: Final = re.compile(r"(\d+(?:\.\d+)?)([kKmMgG])")
# As vLLM reads them: small letters are powers of ten, capitals powers of two.
_FACTORS: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
_COUNTS: Final = (Fact.MAX_NUM_SEQS, Fact.MAX_NUM_BATCHED_TOKENS, Fact.MAX_MODEL_LEN)


def recognise(
    argv: Sequence[str], engines: Iterable[Engine]
) -> tuple[Engine, dict[Fact, str]] | None:
    """Return the engine whose server these arguments start, and what they say of it.

    A wrapper such as `uv run vllm serve` is not the server; its child is.
    """
    program, rest = _program(argv)
    for engine in engines:
        for command in engine.commands:
            words = len(command) - 1
            if program == command[0] and tuple(rest[:words]) == command[1:]:
                return engine, _facts(engine, rest[words:])
    return None


def _program(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of a program or Python module, and its arguments."""
    if not argv:
        return "", ()
    name = PurePath(argv[0]).name
    if not _PYTHON.fullmatch(name):
        return name, argv[1:]
    index = 1
    while index < len(argv) and argv[index].startswith("-"):
        if argv[index] == "-m":
            return (argv[index + 1], argv[index + 2 :]) if index + 1 < len(argv) else ("", ())
        index += 2 if argv[index] in _PYTHON_FLAGS_WITH_VALUE else 1
    if index >= len(argv):
        return "", ()
    return PurePath(argv[index]).name, argv[index + 1 :]


def _facts(engine: Engine, arguments: Sequence[str]) -> dict[Fact, str]:
    """Return what the flags say; of a flag given twice, the last counts."""
    names = {name: fact for fact, flags in engine.flags.items() for name in flags}
    facts: dict[Fact, str] = {}
    if engine.model_argument and arguments and not arguments[0].startswith("-"):
        facts[Fact.MODEL] = arguments[0]
    for index, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
        if flag in engine.switches:
            facts[engine.switches[flag]] = "true"
        if flag not in names:
            continue
        if not equals:
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
            if value.startswith("-") and not _NUMBER.fullmatch(value):
                continue
        if value:
            facts[names[flag]] = value
    return _normalised(facts)


def _normalised(facts: Mapping[Fact, str]) -> dict[Fact, str]:
    """Return the facts with numbers as numbers; a limit that is chosen at start is unknown."""
    result: dict[Fact, str] = {}
    for fact, value in facts.items():
        if fact in _COUNTS:
            number = _count(value)
            if number is not None:
                result[fact] = str(number)
        else:
            result[fact] = value
    return result


def _count(text: str) -> int | None:
    """Return a number of things, or None for `auto`, -1 and the like."""
    human = _HUMAN.fullmatch(text)
    if human:
        return int(float(human[1]) * _FACTORS[human[2]])
    return int(text) if text.isdecimal() and int(text) > 0 else None
