"""This machine's PostgreSQL in the place of compose.yaml's, whose image must be downloaded."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stack.postgres_server import find_programs
from stack.process import Process

_ACCOUNT = "postgres"
_ASK_SECONDS = 30.0


class PostgresStandIn:
    """A PostgreSQL server with the database, user and password that compose.yaml asks for.

    Args:
        directory: for its files; made anew. Others must be able to look into the folder above.
    """

    def __init__(self, service: Mapping[str, Any], directory: Path, log: Path) -> None:
        self._service = service
        self._environment: Mapping[str, str] = service["environment"]
        self._programs = find_programs()
        self._directory = directory
        self._directory.mkdir(mode=0o700)
        account = pwd.getpwnam(_ACCOUNT)
        os.chown(self._directory, account.pw_uid, account.pw_gid)
        # The kernel forgets the parent's death signal when the user changes.
        runner = ("setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups")
        self._runner = (*runner, "--pdeathsig", "KILL")
        self._process = Process(
            "postgres",
            (
                *self._runner,
                *(str(self._programs / "postgres"), "-D", str(self._directory / "data")),
                *("-c", "listen_addresses=127.0.0.1", "-c", "port=5432", "-c", "fsync=off"),
                *("-c", f"unix_socket_directories={self._directory}"),
            ),
            log=log,
            directory=self._directory,
        )

    def start(self) -> None:
        """Make the cluster and its database, and start the server."""
        user, password = self._environment["POSTGRES_USER"], self._environment["POSTGRES_PASSWORD"]
        words = self._directory / "password"
        words.write_text(password, encoding="utf-8")
        shutil.chown(words, _ACCOUNT)
        self._call(
            *(str(self._programs / "initdb"), "-D", str(self._directory / "data"), "-U", user),
            *("--auth=scram-sha-256", f"--pwfile={words}", "--encoding=UTF8", "--no-sync"),
        )
        self._process.start()
        self._process.wait_until_ready(lambda: self.is_healthy, 30)
        self._call(
            *(str(self._programs / "createdb"), "--host=127.0.0.1", f"--username={user}"),
            self._environment["POSTGRES_DB"],
            environment={**os.environ, "PGPASSWORD": password},
        )

    def wait_until_healthy(self) -> None:
        """Return when the health check of compose.yaml says yes."""
        self._process.wait_until_ready(lambda: self.is_healthy, 30)

    @property
    def is_healthy(self) -> bool:
        """Whether the health check of compose.yaml says yes now."""
        kind, *words = self._service["healthcheck"]["test"]
        assert kind == "CMD"
        return subprocess.run(words, timeout=_ASK_SECONDS, check=False).returncode == 0

    def end(self) -> None:
        """Stop the server and remove its files."""
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _call(self, *words: str, environment: Mapping[str, str] | None = None) -> None:
        command: Sequence[str] = (*self._runner, *words)
        subprocess.run(
            command,
            cwd=self._directory,
            env=environment,
            check=True,
            capture_output=True,
            timeout=_ASK_SECONDS,
        )
