"""Asks servers that speak the Prometheus HTTP API, whoever made them."""

from agent.remote.client import Client
from agent.remote.querier import Remote

__all__ = ["Client", "Remote"]
