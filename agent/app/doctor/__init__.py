"""`inferwatch doctor`: what the agent looks for on this host, what it finds, what is missing.

The sources are the agent's own, looked at a few times; nothing is served, kept or sent.
"""

from agent.app.doctor.examine import examine
from agent.app.doctor.finding import Finding, State
from agent.app.doctor.service import become_service

__all__ = ["Finding", "State", "become_service", "examine"]
