"""Cuts the connection to a database that has fallen silent.

A link that is cut without a word, a machine that stopped, a frozen server: drivers of PostgreSQL
wait for an answer without any limit, and the relay would wait with them. A thread of its own looks
how long the relay has been at one database, and shuts the connection's socket down; the driver
raises, as it does for any connection that breaks.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Far longer than a turn at a database takes."""

CONNECT_SECONDS = 5
LOOK_SECONDS = 1.0


class DatabaseWatch:
    """Looks after one thread's work with databases, while it is entered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: BaseDatabaseWrapper | None = None
        self._since = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pushgate-databases", daemon=True)

    def __enter__(self) -> DatabaseWatch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def over(self, alias: str) -> Iterator[None]:
        """What is done with this database inside has `ANSWER_SECONDS`."""
        connection = connections[alias]
        if connection.vendor == "postgresql":
            connection.settings_dict["OPTIONS"].setdefault("connect_timeout", CONNECT_SECONDS)
        with self._lock:
            self._watched, self._since = connection, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._watched = None

    def look(self) -> None:
        """Cut the connection if it is time."""
        with self._lock:
            if self._watched is None or time.monotonic() - self._since < ANSWER_SECONDS:
                return
            self._since = time.monotonic()
            if _cut(self._watched):
                logger.error(
                    "database %r has not answered for %g s; its connection is cut",
                    self._watched.alias,
                    ANSWER_SECONDS,
                )

    def _run(self) -> None:
        while not self._ended.wait(min(LOOK_SECONDS, ANSWER_SECONDS)):
            self.look()


def _cut(connection: BaseDatabaseWrapper) -> bool:
    """Shut the connection's socket down, if there is one; whoever reads it finds its end."""
    if connection.vendor != "postgresql" or connection.connection is None:
        return False
    # It may have ended meanwhile.
    with suppress(OSError, DatabaseError), connection.wrap_database_errors:
        with socket.socket(fileno=os.dup(connection.connection.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)
        return True
    return False
