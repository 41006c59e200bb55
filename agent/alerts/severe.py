"""Which severities of alerts are those that wake somebody."""

from typing import Final

SEVERE: Final = ("critical", "page", "emergency")
"""What the shipped rules call critical, and what configurations call it in its place."""
