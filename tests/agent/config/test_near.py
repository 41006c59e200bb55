"""What somebody may have meant."""

from agent.config.near import nearest


def test_the_name_that_is_most_like_it_is_found():
    """One letter too many, and one that is like none."""
    known = ["interval", "interval_max", "timeout"]
    assert nearest("intervall", known) == "interval"
    assert nearest("colour", known) is None


def test_how_like_they_must_be_can_be_told():
    """A lower bar lets a name through that is less like it."""
    assert nearest("expression", ["expr"], cutoff=0.5) == "expr"
    assert nearest("expression", ["expr"], cutoff=0.9) is None
