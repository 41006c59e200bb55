"""What somebody may have meant who wrote a name that there is not."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of the known names that is most like a name, None if none is like it.

    Args:
        name: that is not among them.
        known: the others.
        cutoff: how like they must be, from 0 to 1, by `difflib`.
    """
    import difflib  # for mistakes only, and not in the memory of who makes none

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=cutoff)), None)
