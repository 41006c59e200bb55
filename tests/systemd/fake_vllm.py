"""Stands in for `vllm serve` in the container: the process of an engine with a captured page.

Needs no more than the Python of the container. Arguments as vLLM's; only `--port` is heeded.
"""

import gzip
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PAGE = gzip.decompress(Path("/src/tests/captures/vllm-03-steady-8.prom.gz").read_bytes())


class Handler(BaseHTTPRequestHandler):
    """Answers every path with the page."""

    def do_GET(self) -> None:
        """Send the page."""
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(PAGE)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
