"""`inferwatch doctor`: what the agent looks for on this host, what it finds, what is missing.

The sources are the agent's own, looked at a few times; nothing is served, kept or sent.
"""

from agent.app.doctor.examine import examine
from agent.app.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine"]
