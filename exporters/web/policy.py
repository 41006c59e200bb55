"""What a page of the agent may do in a browser: nothing that is not written in it."""

import base64
import hashlib


def headers(*, style: str, script: str = "") -> dict[str, str]:
    """Return the headers of a page that has this one style and this one script.

    Nothing comes from another host: names of engines and models come from outside.
    """
    may_run = f"script-src {_hashed(script)}; connect-src 'self'; " if script else ""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; {may_run}style-src {_hashed(style)}; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _hashed(text: str) -> str:
    """Return how a policy names an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
