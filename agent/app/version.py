"""Which version of the agent this is."""

from importlib import metadata


def version() -> str:
    """Return the version of the installed distribution."""
    return metadata.version("inferwatch")
