"""PostgreSQL, which is no part of Pushgate, dies or is restarted; and one of its backends."""

from __future__ import annotations

import signal
from random import Random

import psycopg

from tests.faults.catalogue.fault import PROCESSES, Fault, Ground, NoEffect


def _kill(ground: Ground, random: Random) -> None:
    with ground.database_lock:
        ground.system.restart_database()


def _end(ground: Ground, random: Random) -> None:
    with ground.database_lock:
        ground.system.restart_database(cleanly=True)


def _kill_backend(ground: Ground, random: Random) -> None:
    """PostgreSQL then ends all other backends as well, and recovers."""
    with ground.database_lock:
        try:
            with ground.system.database() as connection:
                rows = connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                    "AND pid <> pg_backend_pid()"
                ).fetchall()
        except psycopg.Error as error:
            raise NoEffect(f"the database does not say who its backends are: {error}") from None
        if not rows:
            raise NoEffect("nobody is connected")
        ground.send(random.choice(rows)[0], signal.SIGKILL)


FAULTS = (
    Fault("database: kill -9", PROCESSES, _kill, weight=0.7),
    Fault("database: clean restart", PROCESSES, _end, weight=0.7),
    Fault("database: a backend killed", PROCESSES, _kill_backend, weight=0.7),
)
