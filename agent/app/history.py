"""The history as the settings want it."""

import socket
from collections.abc import Callable, Collection

from agent.config import Settings
from agent.model import Clock, SeriesTable
from agent.store.history import History
from agent.store.target import Target
from agent.store.writer import Limits


def target_of(settings: Settings) -> Target:
    """Return the labels that a Prometheus would give to what it scrapes from this agent."""
    labels = settings.labels
    port = next((address.port for address in settings.exporters.http_api.listen), None)
    default = socket.gethostname() + (f":{port}" if port else "")
    return Target(
        job=labels.job, instance=labels.instance or default, external=dict(labels.external)
    )


def new_history(
    settings: Settings,
    table: SeriesTable,
    *,
    clock: Clock,
    keep_full: Collection[str],
    told: Callable[[str], None],
) -> History:
    """Return the history of a run.

    Args:
        settings: where it is, how much is kept, and the labels of the target.
        table: explains the series of the frames.
        clock: see `History`.
        keep_full: metrics that rules name.
        told: called with a sentence for the log, from any thread.
    """
    history = settings.history
    return History(
        table,
        clock=clock,
        path=history.path if history.enabled else None,
        target=target_of(settings),
        keep_full=keep_full,
        limits=Limits(
            full_age=history.full_age,
            five_age=history.five_minutes_age,
            max_size=history.max_size,
        ),
        told=told,
    )
