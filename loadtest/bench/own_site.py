"""The site's databases for a benchmark alone: a SQLite, a PostgreSQL, a Redis, nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from loadtest.errors import LoadTestError
from stack.platform import REPOSITORY, Platform
from stack.postgres_server import PostgresServer
from stack.process import free_port
from stack.redis_server import RedisServer


@contextmanager
def own_sites() -> Iterator[list[Mapping[str, str]]]:
    """Give the environments of a migrated site on SQLite and one on PostgreSQL, with one Redis."""
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        directory = Path(folder)
        redis = RedisServer(Platform.find(), directory / "redis", free_port())
        postgres = PostgresServer()
        try:
            redis.start()
            postgres.start()
            sites = [
                {
                    **os.environ,
                    "STATE_DIR": str(directory),
                    "DATABASE_URL": url,
                    "PUSHGATE_REDIS_URL": redis.url,
                }
                for url in (f"sqlite:///{directory / 'bench.sqlite3'}", postgres.url())
            ]
            for site in sites:
                manage(site, "migrate", "--verbosity=0")
            yield list(sites)
        finally:
            postgres.stop()
            redis.stop()


def manage(environment: Mapping[str, str], *command: str) -> str:
    """Return what a command of the site's manage.py prints.

    Raises:
        LoadTestError: it failed; the last line of what it said.
    """
    done = subprocess.run(
        (sys.executable, "example_site/manage.py", *command),
        cwd=REPOSITORY,
        env=dict(environment),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise LoadTestError(f"manage.py {command[0]} failed: {last}")
    return done.stdout
