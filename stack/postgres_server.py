"""A PostgreSQL server of our own, for tests and measurements; it listens on a Unix socket alone."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from stack.errors import DeadlineMissed, PlatformMissing, StackError
from stack.process import Process, tail, wait_until

# Debian keeps each major version's programs in a folder of its own, off the PATH.
_PROGRAMS = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"

_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{directory}'
max_connections = 60
# A server for tests outlives no power cut, and need not; see KEEPS_COMMITS.
fsync = off
synchronous_commit = off
full_page_writes = off
"""


KEEPS_COMMITS = ("synchronous_commit = on",)
"""Settings with which a killed server comes back with every transaction that it confirmed."""


class PostgresServer:
    """A PostgreSQL cluster that can be killed and started again on its data.

    PostgreSQL refuses to run as root; then it runs as Debian's account `postgres`, which must be
    able to enter the folders.

    Args:
        directory: for its socket, log and data; None is a temporary one, removed when it stops.
        data: a folder for its data alone, which is made, or the cluster that was made there before.
        settings: further lines of the configuration, `KEEPS_COMMITS` say.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        data: Path | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        self._programs = find_programs()
        self._is_temporary = directory is None
        if directory is None:
            directory = Path(tempfile.mkdtemp(prefix="pushgate-postgres-"))
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory.resolve()
        self._data = (data or self._directory / "data").resolve()
        self._settings = tuple(settings)
        self._runner: tuple[str, ...] = ()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            self.user = _ACCOUNT
            account = pwd.getpwnam(_ACCOUNT)
            for folder in {self._directory, self._data.parent}:
                os.chown(folder, account.pw_uid, account.pw_gid)
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
    def socket(self) -> Path:
        """Where it listens."""
        return self._directory / ".s.PGSQL.5432"

    @property
    def pid(self) -> int:
        """The postmaster's process id; raises StackError when it does not run."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process.running

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database as DATABASE_URL wants it."""
        return f"postgres://{self.user}@{quote(str(self._directory), safe='')}/{database}"

    def start(self, deadline_seconds: float = 30) -> None:
        """Make the cluster if there is none, and return when the server answers.

        Raises:
            StackError: it cannot be made or does not start, with its log's last lines.
        """
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._process.start()
        self._process.wait_until_ready(self._answers, deadline_seconds)

    def stop(self) -> None:
        """Stop the server, disconnecting everyone; remove its folder if that was temporary."""
        if self._process.running:
            os.kill(self._process.pid, signal.SIGINT)
            wait_until(lambda: not self._process.running, 15, "PostgreSQL has stopped")
        self._process.stop()
        if self._is_temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def kill(self, deadline_seconds: float = 10) -> None:
        """Kill the postmaster as a crash would; `start` brings it back with its data.

        Returns when its backends have ended too, which they do by themselves when they next wait
        for anything: before that no other postmaster starts on their shared memory.
        """
        self._process.kill()
        try:
            wait_until(lambda: not any(self._backends()), deadline_seconds, "its backends ended")
        except DeadlineMissed:
            for pid in self._backends():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not any(self._backends()), 5, "its killed backends ended")

    def _backends(self) -> Iterator[int]:
        """The processes that work on the data; each of them has its folder as its own."""
        for folder in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):
                if folder.readlink() == self._data:
                    yield int(folder.parent.name)

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
            configuration.writelines(f"{line}\n" for line in self._settings)

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
