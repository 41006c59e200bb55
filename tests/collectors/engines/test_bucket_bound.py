"""How the bounds of buckets are written."""

import http.server
import threading
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines.bucket_bound import canonical
from tests.e2e.prometheus import SCRAPES, prometheus
from tests.servers import NEEDS_PROMETHEUS_3

WRITTEN = {
    "1": "1.0",
    "1.0": "1.0",
    "1.00": "1.0",
    "0": "0.0",
    "-2": "-2.0",
    ".5": "0.5",
    "+Inf": "+Inf",
    "Inf": "+Inf",
    "-Inf": "-Inf",
    "0.0001": "0.0001",
    "1e-5": "1e-05",
    "100000": "100000.0",
    "1000000": "1e+06",
    "1234567.0": "1.234567e+06",
    "1e6": "1e+06",
    "123456.75": "123456.75",
    "2.5e10": "2.5e+10",
    "1e+100": "1e+100",
    "3e-300": "3e-300",
    "8192": "8192.0",
    "0.1": "0.1",
    "0.30000000000000004": "0.30000000000000004",
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items())
def test_bounds(text: str, expected: str):
    """However it is written, a bound reads as Prometheus 3 stores it."""
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "x", "1_0", " 1", "1 ", "NaN"])
def test_what_is_no_bound(text: str):
    """What is no number stays as it is."""
    assert canonical(text) == text


@given(st.floats(allow_nan=False))
def test_a_bound_keeps_its_value(bound: float):
    """Writing it loses nothing, and what is written so is left alone."""
    text = canonical(repr(bound))
    assert float(text) == bound
    assert canonical(text) == text


@pytest.mark.server
@NEEDS_PROMETHEUS_3
def test_prometheus_3_stores_the_same(tmp_path: Path):
    """Scraped from an engine, each bound has the text that we give it."""
    bounds = sorted({float(text): text for text in WRITTEN if float(text) != inf}.items())
    lines = [f'h_bucket{{le="{text}"}} {count}' for count, (_, text) in enumerate(bounds)]
    page = "\n".join(
        ["# TYPE h histogram", *lines, 'h_bucket{le="+Inf"} 99', "h_sum 1", "h_count 99", ""]
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        with prometheus(tmp_path, SCRAPES.format(port=server.server_address[1])) as real:
            found = real.wait_for("h_bucket")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert {one["metric"]["le"] for one in found} == {
        *(canonical(text) for _, text in bounds),
        "+Inf",
    }
