"""Blobs that are read several at once are those that are asked for."""

import sqlite3

from agent.store.ahead import Ahead
from agent.store.identity import key


def _database() -> tuple[sqlite3.Connection, list[str]]:
    """Return a database of two hundred segments with two groups, and what is asked of it."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE chunk (id INTEGER PRIMARY KEY, data BLOB)")
    connection.executemany(
        "INSERT INTO chunk VALUES (?, ?)",
        [
            (key(n, g), f"{n}/{g}".encode())
            for n in range(200)
            for g in range(2)
            if (n, g) != (9, 1)
        ],
    )
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    return connection, asked


def test_every_blob_is_the_one_that_was_asked_for():
    """In the order of time, with one that is not there; few queries for all of them."""
    connection, asked = _database()
    ahead = Ahead(connection, "chunk", range(200), 2)
    for number in range(200):
        for group in range(2):
            wanted = None if (number, group) == (9, 1) else f"{number}/{group}".encode()
            assert ahead.take(number, group) == wanted
    assert len(asked) < 20
    connection.close()


def test_a_blob_may_be_asked_for_twice_and_others_not_at_all():
    """A clock that went back divides a segment, and hides others."""
    connection, _asked = _database()
    ahead = Ahead(connection, "chunk", range(200), 1)
    assert [ahead.take(number, 0) for number in (3, 3, 150)] == [b"3/0", b"3/0", b"150/0"]
    connection.close()
