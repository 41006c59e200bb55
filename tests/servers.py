"""Where the tests find the servers that they start.

By default on the PATH. A variable names a folder instead, to run them against another release than
that of the system: `INFERWATCH_TEST_PROMETHEUS` (prometheus, promtool),
`INFERWATCH_TEST_ALERTMANAGER`, `INFERWATCH_TEST_VICTORIAMETRICS` (victoria-metrics, vmalert,
vmagent), `INFERWATCH_TEST_CORTEX`, `INFERWATCH_TEST_THANOS`.
"""

import os
import re
import shutil
import subprocess
from typing import Final

import pytest


def found(*names: str, at: str) -> str | None:
    """Return the first of these programs that is there.

    Args:
        names: of the same program.
        at: the variable that names their folder; the PATH where it is not set.
    """
    folder = os.environ.get(at) or None
    return next((path for name in names if (path := shutil.which(name, path=folder))), None)


def _version(program: str | None) -> tuple[int, int]:
    """Return major and minor version as a program tells them; zeros where there is none."""
    if program is None:
        return (0, 0)
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    said = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    assert said is not None, done
    return int(said[1]), int(said[2])


_PROMETHEUS = found("prometheus", at="INFERWATCH_TEST_PROMETHEUS")
_PROMTOOL = found("promtool", at="INFERWATCH_TEST_PROMETHEUS")

PROMETHEUS: Final = _PROMETHEUS or "prometheus"
PROMTOOL: Final = _PROMTOOL or "promtool"
VERSION: Final = _version(_PROMETHEUS)
"""Major and minor version of that Prometheus."""

NEEDS_PROMTOOL: Final = pytest.mark.skipif(
    _PROMTOOL is None, reason="needs promtool on the PATH or in INFERWATCH_TEST_PROMETHEUS"
)
NEEDS_PROMETHEUS: Final = pytest.mark.skipif(
    _PROMETHEUS is None or _PROMTOOL is None,
    reason="needs prometheus and promtool on the PATH or in INFERWATCH_TEST_PROMETHEUS",
)
NEEDS_PROMETHEUS_3: Final = pytest.mark.skipif(
    VERSION < (3, 5), reason="needs Prometheus 3.5 or later: see INFERWATCH_TEST_PROMETHEUS"
)

# Under the name that Debian or its authors give it.
_ALERTMANAGER = found("prometheus-alertmanager", "alertmanager", at="INFERWATCH_TEST_ALERTMANAGER")

_AMTOOL = found("amtool", at="INFERWATCH_TEST_ALERTMANAGER")

ALERTMANAGER: Final = _ALERTMANAGER or "alertmanager"
AMTOOL: Final = _AMTOOL or "amtool"
NEEDS_ALERTMANAGER: Final = pytest.mark.skipif(
    _ALERTMANAGER is None,
    reason="needs Alertmanager on the PATH or in INFERWATCH_TEST_ALERTMANAGER",
)
NEEDS_AMTOOL: Final = pytest.mark.skipif(
    _AMTOOL is None, reason="needs amtool on the PATH or in INFERWATCH_TEST_ALERTMANAGER"
)

_VICTORIA = "INFERWATCH_TEST_VICTORIAMETRICS"
_VICTORIAMETRICS = found("victoria-metrics", "victoria-metrics-prod", at=_VICTORIA)
_VMALERT = found("vmalert", "vmalert-prod", at=_VICTORIA)
_VMAGENT = found("vmagent", "vmagent-prod", at=_VICTORIA)

VICTORIAMETRICS: Final = _VICTORIAMETRICS or "victoria-metrics"
VMALERT: Final = _VMALERT or "vmalert"
VMAGENT: Final = _VMAGENT or "vmagent"
NEEDS_VICTORIAMETRICS: Final = pytest.mark.skipif(
    None in {_VICTORIAMETRICS, _VMALERT, _VMAGENT},
    reason=f"needs victoria-metrics, vmalert and vmagent on the PATH or in {_VICTORIA}",
)

_CORTEX = found("cortex", at="INFERWATCH_TEST_CORTEX")
_THANOS = found("thanos", at="INFERWATCH_TEST_THANOS")

CORTEX: Final = _CORTEX or "cortex"
NEEDS_CORTEX: Final = pytest.mark.skipif(
    _CORTEX is None, reason="needs cortex on the PATH or in INFERWATCH_TEST_CORTEX"
)
THANOS: Final = _THANOS or "thanos"
NEEDS_THANOS: Final = pytest.mark.skipif(
    _THANOS is None, reason="needs thanos on the PATH or in INFERWATCH_TEST_THANOS"
)
