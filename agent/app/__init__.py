"""The composition root: the only package that names collectors and exporters."""

from agent.app.access import read_all
from agent.app.judging import rules_of
from agent.app.live import Agent
from agent.app.replayed import ReplayAgent

__all__ = ["Agent", "ReplayAgent", "read_all", "rules_of"]
