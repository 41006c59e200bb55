"""What can be wrong with rules."""

from agent.model import InferwatchError


class RuleError(InferwatchError):
    """Rules cannot be used; the message lists every problem with its file and line."""


class TemplateError(InferwatchError):
    """A template cannot be parsed, or makes no sense with the data that it was given."""
