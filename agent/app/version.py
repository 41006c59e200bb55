"""Which version of the agent this is."""

from typing import Final

VERSION: Final = "0.1.0"
"""Of the distribution too: the build reads it here.

To look it up among what is installed would cost a megabyte of modules that read archives.
"""


def version() -> str:
    """Return the version of the agent."""
    return VERSION
