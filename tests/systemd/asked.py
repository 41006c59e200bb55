"""Questions to the agent, asked by its own Python: the container's curl knows no more."""

import json
from typing import Any

from tests.systemd.container import Container

PYTHON = "/opt/inferwatch/venv/bin/python"


def asked(service: Container, path: str) -> Any:
    """Return the JSON of an answer of the agent's API."""
    url = f"http://127.0.0.1:9745/api/v1/{path}"
    ask = f"import urllib.request as u; print(u.urlopen('{url}', timeout=60).read().decode())"
    return json.loads(service.out(f'{PYTHON} -I -c "{ask}"', timeout=90))
