"""Why engines end: deaths, hangs and starts that fail, each explained with its evidence."""

from agent.analysis.deaths.causes import Cause
from agent.analysis.deaths.ledger import Deaths
from agent.analysis.deaths.words import Ending, duration, sentence

__all__ = ["Cause", "Deaths", "Ending", "duration", "sentence"]
