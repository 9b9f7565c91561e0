"""A PostgreSQL server of our own, for tests and measurements; it listens on a Unix socket alone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from stack.errors import PlatformMissing, StackError
from stack.process import Process, tail, wait_until

# Debian keeps each major version's programs in a folder of its own, off the PATH.
_PROGRAMS = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"

_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{directory}'
max_connections = 60
# A server for tests outlives no power cut, and need not.
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class PostgresServer:
    """A fresh PostgreSQL cluster in a temporary folder, removed when it stops.

    PostgreSQL refuses to run as root; then it runs as Debian's account `postgres`, to which the
    folder belongs.
    """

    def __init__(self) -> None:
        self._programs = find_programs()
        self._directory = Path(tempfile.mkdtemp(prefix="pushgate-postgres-"))
        self._runner: tuple[str, ...] = ()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            self.user = _ACCOUNT
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(self._directory, account.pw_uid, account.pw_gid)
            # The kernel forgets the parent's death signal when the user changes.
            self._runner = (
                *("setpriv", f"--reuid={_ACCOUNT}", f"--regid={_ACCOUNT}", "--init-groups"),
                *("--pdeathsig", "KILL"),
            )
        self._log = self._directory / "server.log"
        self._process = Process(
            "postgres",
            (*self._runner, str(self._programs / "postgres"), "-D", str(self._data)),
            log=self._log,
            directory=self._directory,
        )

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database as DATABASE_URL wants it."""
        return f"postgres://{self.user}@{quote(str(self._directory), safe='')}/{database}"

    def start(self, deadline_seconds: float = 30) -> None:
        """Make the cluster and return when the server answers.

        Raises:
            StackError: it cannot be made or does not start, with its log's last lines.
        """
        self._initialise()
        self._process.start()
        self._process.wait_until_ready(self._answers, deadline_seconds)

    def stop(self) -> None:
        """Stop the server, disconnecting everyone, and remove its folder."""
        if self._process.running:
            os.kill(self._process.pid, signal.SIGINT)
            wait_until(lambda: not self._process.running, 15, "PostgreSQL has stopped")
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _initialise(self) -> None:
        with self._log.open("ab") as output:
            made = subprocess.run(
                [
                    *self._runner,
                    *(str(self._programs / "initdb"), "-D", str(self._data)),
                    *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
                    *("-U", self.user),
                ],
                cwd=self._directory,
                stdout=output,
                stderr=output,
            )
        if made.returncode:
            raise StackError(f"initdb failed; its log ends: {tail(self._log)}")
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write(_CONFIGURATION.format(directory=self._directory))

    def _answers(self) -> bool:
        asked = subprocess.run(
            [str(self._programs / "pg_isready"), "-q", "-h", str(self._directory)],
            stdout=subprocess.DEVNULL,
        )
        return asked.returncode == 0


def find_programs(folder: Path = _PROGRAMS) -> Path:
    """Return the folder of the newest installed PostgreSQL server's programs.

    Raises:
        PlatformMissing: none is installed.
    """
    found = sorted(
        (path.parent for path in folder.glob("*/bin/postgres")),
        key=lambda path: float(path.parent.name),
    )
    if not found:
        raise PlatformMissing("PostgreSQL's server is not installed; run `make test` or install it")
    return found[-1]
