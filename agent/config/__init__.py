"""Typed settings from one YAML file; see `settings` for all there is to set."""

from agent.config.reader import load_settings, read_settings
from agent.config.secret import Secret
from agent.config.settings import EngineInstance, Settings
from agent.config.values import Listen

__all__ = [
    "EngineInstance",
    "Listen",
    "Secret",
    "Settings",
    "load_settings",
    "read_settings",
]
