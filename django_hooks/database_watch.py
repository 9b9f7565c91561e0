"""Cuts the connection to a database that has fallen silent.

A link that is cut without a word, a machine that stopped, a frozen server: drivers of PostgreSQL
wait for an answer without any limit, and the relay would wait with them. A thread of its own looks
how long the relay has been at one database, and shuts the connection's socket down; the driver
raises, as it does for any connection that breaks.

A PostgreSQL that is merely slow, or whose table is locked, does not notice: the process it has for
the connection would stay at its statement, one more for each cut. So it is told to end a statement
by itself a little before.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Far longer than a turn at a database takes."""

CONNECT_SECONDS = 5
LOOK_SECONDS = 1.0

_STATEMENT_PART = 0.9
"""Of the time for an answer, what the server has for a statement."""

# What the site has set stands where it is shorter.
_LIMIT_STATEMENTS = """
    SELECT set_config('statement_timeout', %s, false) FROM pg_settings
    WHERE name = 'statement_timeout' AND setting::bigint NOT BETWEEN 1 AND %s
"""


class DatabaseWatch:
    """Looks after one thread's work with databases, while it is entered; it may be again.

    Args:
        answer_seconds: what a database has for an answer.
    """

    def __init__(self, answer_seconds: float | None = None) -> None:
        self._answer_seconds = answer_seconds or ANSWER_SECONDS
        self._lock = threading.Lock()
        self._watched: BaseDatabaseWrapper | None = None
        self._since = 0.0
        self._limited: dict[str, object] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> DatabaseWatch:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name="pushgate-databases", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def over(self, alias: str) -> Iterator[None]:
        """What is done with this database inside has `answer_seconds`."""
        connection = connections[alias]
        if connection.vendor != "postgresql":
            yield
            return
        connection.settings_dict["OPTIONS"].setdefault("connect_timeout", CONNECT_SECONDS)
        with self._looking_after(connection), connection.execute_wrapper(self._limit):
            yield

    @contextmanager
    def over_each_statement(self, alias: str) -> Iterator[None]:
        """Each statement that this database is given inside has `answer_seconds`."""
        connection = connections[alias]
        if connection.vendor != "postgresql":
            yield
            return

        def look_after(execute: Callable[..., Any], *statement: Any) -> Any:
            with self._looking_after(connection):
                return self._limit(execute, *statement)

        connection.settings_dict["OPTIONS"].setdefault("connect_timeout", CONNECT_SECONDS)
        with connection.execute_wrapper(look_after):
            yield

    def give_back(self) -> None:
        """Close the sessions whose statements were limited: who uses the thread next is not."""
        for alias, session in self._limited.items():
            connection = connections[alias]
            if connection.connection is session and not connection.in_atomic_block:
                connection.close()
        self._limited.clear()

    def look(self) -> None:
        """Cut the connection if it is time."""
        with self._lock:
            if self._watched is None or time.monotonic() - self._since < self._answer_seconds:
                return
            self._since = time.monotonic()
            if _cut(self._watched):
                logger.error(
                    "database %r has not answered for %g s; its connection is cut",
                    self._watched.alias,
                    self._answer_seconds,
                )

    @contextmanager
    def _looking_after(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        with self._lock:
            self._watched, self._since = connection, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._watched = None

    def _limit(self, execute: Callable[..., Any], *statement: Any) -> Any:
        """Execute a statement; have the session's statements limited before its first."""
        connection: BaseDatabaseWrapper = statement[-1]["connection"]
        session = connection.connection
        if session is not self._limited.get(connection.alias) and _is_own_session(connection):
            milliseconds = int(1000 * self._answer_seconds * _STATEMENT_PART)
            with connection.wrap_database_errors, session.cursor() as cursor:
                cursor.execute(_LIMIT_STATEMENTS, [str(milliseconds), milliseconds])
            self._limited[connection.alias] = session
        return execute(*statement)

    def _run(self) -> None:
        while not self._ended.wait(min(LOOK_SECONDS, self._answer_seconds)):
            try:
                self.look()
            except Exception:
                # It would be gone for good, and nobody would notice before a database is silent.
                logger.exception("the watch over databases failed; it goes on")


def _is_own_session(connection: BaseDatabaseWrapper) -> bool:
    """Whether what is set for the session is set for nobody else, and stays set.

    Where a pooler hands sessions on after each transaction, Django has no server-side cursors.
    """
    settings = connection.settings_dict
    is_shared = settings.get("DISABLE_SERVER_SIDE_CURSORS") or settings["OPTIONS"].get("pool")
    return not is_shared and not connection.in_atomic_block


def _cut(connection: BaseDatabaseWrapper) -> bool:
    """Shut the connection's socket down, if there is one; whoever reads it finds its end."""
    # The thread that is looked after closes it and opens another whenever it likes.
    session = connection.connection
    if session is None:
        return False
    # It may have ended meanwhile.
    with suppress(OSError, DatabaseError), connection.wrap_database_errors:
        with socket.socket(fileno=os.dup(session.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)
        return True
    return False
