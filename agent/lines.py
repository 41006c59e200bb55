"""Texts that others wrote, as logs, terminals and alerts can take them."""


def one_line(text: str) -> str:
    """Return a text in one line that can only be read: what is no printable letter is a blank."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
