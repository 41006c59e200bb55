"""There is one version."""

from importlib import metadata

from agent.app.version import version


def test_it_is_that_of_the_distribution():
    """What the agent says of itself is what was built and installed."""
    assert version() == metadata.version("inferwatch")
