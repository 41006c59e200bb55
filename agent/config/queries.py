"""The settings of queries: how much anybody may ask for."""

from dataclasses import dataclass
from typing import Annotated

from agent.config.values import Count, Duration, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Limits of the Prometheus API, whose queries run in a process of their own, one at a time.

    `timeout`: after which a query is given up, waiting included; it may ask for less. `samples`:
    that a query may have in hand at one time. `memory`: of the process. `waiting`: queries that
    may wait while one is answered.
    """

    timeout: Annotated[float, Duration(0.1, 600.0)] = 30.0
    samples: Annotated[int, Count(maximum=10**9)] = 4_000_000
    memory: Annotated[int, Size(128 * 2**20)] = 256 * 2**20
    waiting: Annotated[int, Count(maximum=1000)] = 32
