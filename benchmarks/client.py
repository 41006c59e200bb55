"""A client that costs next to nothing: one kept connection, blocking, no HTTP library."""

import socket
import time
from collections.abc import Sequence
from typing import Final

ACCEPT: Final = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
    "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What Prometheus 2.42 sends."""


class RawClient:
    """Asks one server for one path, again and again.

    Args:
        port: on 127.0.0.1.
        accept: value of that header.
        gzip: whether to offer it, as Prometheus does.
    """

    def __init__(
        self,
        port: int,
        *,
        path: str = "/metrics",
        accept: str = "text/plain;version=0.0.4",
        gzip: bool = False,
    ) -> None:
        encoding = "gzip" if gzip else "identity"
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: {accept}\r\n"
            f"Accept-Encoding: {encoding}\r\n\r\n"
        ).encode()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self) -> bytes:
        """Return the body of the answer.

        Raises:
            ConnectionError: the answer is not 200, or was cut off.
        """
        connection = self._socket
        connection.sendall(self._request)
        received = connection.recv(1 << 18)
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if b" 200 " not in lines[0]:
            raise ConnectionError(f"answered {lines[0].decode()}: {body[:200].decode()}")
        size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        parts, missing = [body], size - len(body)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        return b"".join(parts)

    def _more(self) -> bytes:
        """Return what comes next."""
        part = self._socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the answer was cut off")
        return part

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def timed(client: RawClient, moments: Sequence[float]) -> list[tuple[float, bytes]]:
    """Ask at these moments (seconds from now); return seconds and body of each answer."""
    begun = time.perf_counter()
    answers: list[tuple[float, bytes]] = []
    for moment in moments:
        time.sleep(max(0.0, begun + moment - time.perf_counter()))
        asked = time.perf_counter()
        body = client.get()
        answers.append((time.perf_counter() - asked, body))
    return answers
