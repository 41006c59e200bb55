"""The thresholds of the signals; the defaults are those that are published as good practice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """From where on more or fewer replicas are wanted, and when no more requests should come.

    Attributes:
        horizon: seconds ahead that are foreseen: the start of a replica.
        scale_out: share of capacity above which more replicas are wanted.
        queue_wait: seconds of waiting, 95th percentile, above which they are too.
        scale_in: share of capacity below which fewer are enough.
        hysteresis: share of a threshold by which a value must be back within it.
        scale_out_after: seconds that the first must last.
        scale_in_after: seconds that the second must last.
        kv_full: share of the KV cache from which on requests that wait cannot be let in.
        shed_after: seconds that more must be asked than is carried before requests should go
            elsewhere.
        admit_after: seconds that all must be well before they should come again.
        stale_after: seconds after which a signal is not true enough to tell.
    """

    horizon: float = 300.0
    scale_out: float = 0.8
    queue_wait: float = 0.5
    scale_in: float = 0.2
    hysteresis: float = 0.1
    scale_out_after: float = 15.0
    scale_in_after: float = 1800.0
    kv_full: float = 0.95
    shed_after: float = 15.0
    admit_after: float = 60.0
    stale_after: float = 60.0
