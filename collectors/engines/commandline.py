"""What a command line says: which engine it starts, and with which settings.

A command line may hold secrets. Only the flags that a profile names are read, and nothing of the
rest is kept. It is written by whoever started the process: what is kept is of a form that nothing
later can stumble over.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import PurePath
from typing import Final

from agent.config.values import MAX_PORT
from collectors.engines.profile import Engine, Fact

_PYTHON: Final = re.compile(r"(python|pypy)[0-9.]*t?")
_PYTHON_FLAGS_WITH_VALUE: Final = ("-X", "-W", "--check-hash-based-pycs")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
# No engine has 10^12 sequences or tokens, and Python refuses to read thousands of digits.
_COUNT: Final = re.compile(r"[0-9]{1,12}")
_HUMAN: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([kKmMgG])")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,252}")
_ZONE: Final = re.compile(r"[A-Za-z0-9._-]{1,15}")
_PATH: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]{1,1000}")
_LONGEST_TEXT: Final = 1000
_LONGEST_SOCKET: Final = 107  # unix(7): the size of `sun_path`, less the zero at its end
# As vLLM reads them: small letters are powers of ten, capitals powers of two.
_FACTORS: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}


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
    """Return the facts that make sense; a limit that is chosen at start is unknown."""
    checked = {fact: _CHECKS.get(fact, _text)(value) for fact, value in facts.items()}
    return {fact: value for fact, value in checked.items() if value is not None}


def _count(text: str) -> str | None:
    """Return a number of things, or None for `auto`, -1 and the like."""
    human = _HUMAN.fullmatch(text)
    if human:
        return str(int(float(human[1]) * _FACTORS[human[2]]))
    return str(int(text)) if _COUNT.fullmatch(text) and int(text) > 0 else None


def _port(text: str) -> str | None:
    """Return a port that can be connected to."""
    return str(int(text)) if _COUNT.fullmatch(text) and 0 < int(text) <= MAX_PORT else None


def _host(text: str) -> str | None:
    """Return what can stand in an address: an IP address, a host name, `*`; or a socket's path."""
    if text.startswith("/"):
        return _socket(text)
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    address, percent, zone = bare.partition("%")
    try:
        ip_address(address)
    except ValueError:
        return text if text == "*" or _HOST_NAME.fullmatch(text) else None
    return bare if not percent or (":" in address and _ZONE.fullmatch(zone)) else None


def _socket(text: str) -> str | None:
    """Return a path that a socket can have."""
    return text if len(text.encode("utf-8", "replace")) <= _LONGEST_SOCKET else None


def _path(text: str) -> str | None:
    """Return what can stand in an address behind the port."""
    return text if _PATH.fullmatch(text) else None


def _text(text: str) -> str | None:
    """Return what can be the value of a label."""
    return text if len(text) <= _LONGEST_TEXT else None


_CHECKS: Final[Mapping[Fact, Callable[[str], str | None]]] = {
    Fact.MAX_NUM_SEQS: _count,
    Fact.MAX_NUM_BATCHED_TOKENS: _count,
    Fact.MAX_MODEL_LEN: _count,
    Fact.PORT: _port,
    Fact.HOST: _host,
    Fact.UNIX_SOCKET: _socket,
    Fact.BASE_PATH: _path,
}
