"""Label values that an engine chooses, kept to a length that pages, logs and alerts can bear."""

import hashlib
from typing import Final

MAX_LABEL: Final = 256
"""Characters of a value; names of models, which are the longest that engines have, need fewer."""

_DIGEST: Final = 8


def bounded(text: str) -> str:
    """Return a value as it is, or its beginning and a digest of all of it: two stay two."""
    if len(text) <= MAX_LABEL:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
    return f"{text[: MAX_LABEL - len(digest) - 1]}…{digest}"
