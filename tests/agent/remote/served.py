"""A server that answers as a test wants it, in a thread of its own."""

import contextlib
import http.server
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Handler = Callable[["Request"], "Reply"]


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `pieces` go out one by one."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: int = 1


@contextlib.contextmanager
def served(handler: Handler) -> Iterator[str]:
    """Serve on loopback and yield the address."""

    class Bound(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            """Answer."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = dict(urllib.parse.parse_qsl(body))
            reply = handler(Request(self.path, form, dict(self.headers)))
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            size = max(1, -(-len(reply.body) // reply.pieces))
            with contextlib.suppress(OSError):  # who asked may have had enough
                for at in range(0, len(reply.body), size):
                    self.wfile.write(reply.body[at : at + size])
                    self.wfile.flush()

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
