"""Evidence as tests want it: a replica that carries at least 1,000 tokens a minute."""

from agent.analysis.signals.evidence import Evidence, Growth, Timed

NOW = 1_800_000_000.0


def evidence(
    load: float | None = 0.5,
    *,
    time: float = NOW,
    waiting: float = 0.0,
    waited: float | None = 0.0,
    kv: float = 0.3,
    growth: float | None = None,
    stability: float | None = 1.3,
    silence: float = 0.0,
    stalled: str = "",
) -> Evidence:
    """Return evidence by the share of its capacity that is asked of a replica, all of it of now.

    Args:
        load: None where neither demand nor capacity is known.
        time: Unix seconds.
        waiting: requests that wait.
        waited: seconds, 95th percentile.
        kv: share of the KV cache in use.
        growth: what becomes of the demand.
        stability: the limit, as a multiple of what it carries.
        silence: seconds since its last page.
        stalled: why nothing goes on.
    """

    def now(value: float | None) -> Timed | None:
        return None if value is None else Timed(value, time)

    return Evidence(
        time=time,
        demand=now(None if load is None else 1000.0 * load),
        carries=now(None if load is None else 1000.0),
        stability=now(None if stability is None or load is None else 1000.0 * stability),
        queue=now(waiting),
        queue_wait=now(waited),
        first_token=now(0.2),
        kv=now(kv),
        growth=None if growth is None else Growth(growth, 0.9 * growth, 1.2 * growth),
        page=time - silence,
        stalled=stalled,
    )
