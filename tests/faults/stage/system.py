"""The whole system as `make run` starts it, from a copy of the source with crash points, with a
PostgreSQL of its own, and with every link between two parts in our hands.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import redis

from pushgate import Keys
from pushgate.leases import RELAY
from stack.gateway import Answer
from stack.health import UnixConnection
from stack.postgres_server import KEEPS_COMMITS, PostgresServer
from stack.process import Process, free_port
from tests.faults.breaking.clock import Clocks
from tests.faults.breaking.disk import Disk, SlowDisks
from tests.faults.breaking.links import Links
from tests.faults.breaking.preload import together
from tests.faults.stage import crash_points
from tests.faults.stage.build import Edit, build
from tests.faults.stage.parts import FAULTS_ENVIRONMENT

START_SECONDS = 120
_DATABASE_SECONDS = 60
STOP_SECONDS = 100
RETENTION_SECONDS = 90
"""How long the relay keeps rows that it moved: what is sent again when Redis lost everything."""

_REDIS_MEGABYTES, _DATABASE_MEGABYTES = 512, 1536

PARTS = ("redis", "gateway", "formatter", "relay", "site")

REDIS_CLIENTS = ("gateway", "formatter", "relay", "site")
DATABASE_CLIENTS = ("relay", "site")
READERS_LINK = "readers-gateway"
LINK_NAMES = (
    *(f"{part}-redis" for part in REDIS_CLIENTS),
    *(f"{part}-database" for part in DATABASE_CLIENTS),
    READERS_LINK,
)

# Whatever becomes of the outbox's rows, this copy of them stays.
_OUTBOX = "django_hooks_outboxrow"
_COPY_OUTBOX = f"""
    CREATE TABLE faults_outbox (id bigint PRIMARY KEY, event text NOT NULL);
    CREATE FUNCTION faults_copy_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO faults_outbox VALUES (NEW.id, NEW.event);
        RETURN NULL;
    END $$;
    CREATE TRIGGER faults_copy AFTER INSERT ON {_OUTBOX}
        FOR EACH ROW EXECUTE FUNCTION faults_copy_row();
"""


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are, for whoever breaks them."""

    root: Path
    state: Path
    crash: Path


class System:
    """One running system; a context manager that stops and removes everything.

    Args:
        bugs: further edits of the copy.
        keep: whether its logs stay where they are at the end.
    """

    def __init__(self, bugs: Iterable[Edit] = (), *, keep: bool = False) -> None:
        self.keep = keep
        self._bugs = tuple(bugs)
        # Short, for unix sockets; and open to the account that runs PostgreSQL.
        root = Path(tempfile.mkdtemp(prefix="pushgate-faults-"))
        root.chmod(0o755)
        self.places = Places(root, root / "state", root / "crash")
        self.redis_port = free_port()
        self.site_port = free_port()
        self.gateway_port = free_port()
        self.keys = Keys()
        self.clocks = Clocks(root / "clocks")
        self.redis_syncs = SlowDisks(root / "syncs")
        """How long Redis' disk takes for a sync."""
        self.redis_disk = Disk(_REDIS_MEGABYTES)
        self.database_disk = Disk(_DATABASE_MEGABYTES, owner="postgres")
        self.postgres: PostgresServer
        self._opened = ExitStack()
        self._keeper = self._opened.enter_context(ThreadPoolExecutor(1, "keeper"))
        self._run: Process | None = None
        self.links_port = free_port()
        """Where readers reach the gateway by a link."""
        self._redis_ports = {part: free_port() for part in REDIS_CLIENTS}
        self._databases = {part: root / f"database-{part}" for part in DATABASE_CLIENTS}
        self._links = Links(root)

    @property
    def links(self) -> Links:
        """The links between the parts, `LINK_NAMES`."""
        return self._links

    @property
    def site_url(self) -> str:
        """The site's address."""
        return f"http://127.0.0.1:{self.site_port}"

    @property
    def gateway_url(self) -> str:
        """The gateway's address."""
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def redis_url(self) -> str:
        """Redis itself, past all links."""
        return f"redis://127.0.0.1:{self.redis_port}/0"

    def __enter__(self) -> System:
        try:
            self._start()
        except BaseException:
            self.keep = True
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        # Whoever looks for what went wrong needs the logs.
        self.keep = self.keep or (kind is not None and issubclass(kind, Exception))
        self._stop()

    def redis(self, timeout_seconds: float = 2) -> redis.Redis:
        """Return a client that asks once and waits no longer than that."""
        return redis.Redis.from_url(
            self.redis_url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=None,
        )

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """Give a connection to the database itself, past all links."""
        with psycopg.connect(self.postgres.url(), connect_timeout=5) as connection:
            yield connection

    def restart_database(self, *, cleanly: bool = False) -> None:
        """End PostgreSQL, by SIGKILL unless cleanly, and start it again on its data."""

        def restart() -> None:
            if cleanly:
                self.postgres.stop()
            else:
                self.postgres.kill()
            self.postgres.start()

        # A child dies with the thread that started it, so not in the caller's.
        self._keeper.submit(restart).result(_DATABASE_SECONDS)

    def pid(self, part: str) -> int:
        """Return a part's process id, of its latest start.

        Raises:
            FileNotFoundError: it was not started yet.
        """
        return int((self.places.state / f"{part}.pid").read_text(encoding="ascii"))

    def relay_leader(self) -> int | None:
        """Return the process id of the relay that holds the lease; None when none does."""
        with suppress(redis.RedisError):
            held = self.redis().get(self.keys.lease(RELAY))
            if isinstance(held, bytes):
                # <token>:<host>:<pid>:<hexadecimal digits>
                return int(held.decode().split(":")[-2])
        return None

    def children(self, part: str) -> list[int]:
        """Return the process ids of a part's workers."""
        pid = self.pid(part)
        with suppress(OSError):
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            return [int(child) for child in text.split()]
        return []

    def log(self, part: str) -> Path:
        """Return where a part's output is."""
        return self.places.state / "logs" / f"{part}.log"

    def ask_gateway(self, path: str) -> Answer:
        """Ask the gateway's private listener; raises OSError when it does not answer."""
        connection = UnixConnection(self.places.state / "gateway" / "private.sock", 10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()

    def manage(
        self, *arguments: str, timeout_seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the site as an operator would, and return what it said."""
        return subprocess.run(
            (sys.executable, "-m", *arguments),
            cwd=self.places.root / "source",
            env={**os.environ, **self._common(), "DATABASE_URL": self.postgres.url()},
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
        )

    def _common(self) -> dict[str, str]:
        return {
            "STATE_DIR": str(self.places.state),
            "SITE_PORT": str(self.site_port),
            "GATEWAY_PORT": str(self.gateway_port),
            "DATABASE_URL": self.postgres.url(),
            "PUSHGATE_REDIS_URL": self.redis_url,
            "PUSHGATE_RETENTION_SECONDS": str(RETENTION_SECONDS),
            "DJANGO_SETTINGS_MODULE": "example_site.settings",
            "PYTHONPATH": str(self.places.root / "source"),
        }

    def _environment(self) -> Mapping[str, Mapping[str, str]]:
        """What each part is told beyond the usual."""
        told: dict[str, dict[str, str]] = {part: {} for part in PARTS}
        told["gateway"]["PUSHGATE_WORKERS"] = "2"
        for part in PARTS:
            told[part] |= self.clocks.environment(part)
        told["redis"] = together(told["redis"], self.redis_syncs.environment("redis"))
        for part, port in self._redis_ports.items():
            told[part]["PUSHGATE_REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
        for part, folder in self._databases.items():
            told[part]["DATABASE_URL"] = (
                f"postgres://{self.postgres.user}@{quote(str(folder), safe='')}/postgres"
            )
            told[part]["PUSHGATE_RETENTION_SECONDS"] = str(RETENTION_SECONDS)
        return told

    def _make_links(self) -> None:
        for part, port in self._redis_ports.items():
            self._links.add(f"{part}-redis", listen=port, to=self.redis_port)
        for part, folder in self._databases.items():
            folder.mkdir()
            socket = self.postgres.socket
            self._links.add(f"{part}-database", listen=folder / socket.name, to=socket)
        self._links.add(READERS_LINK, listen=self.links_port, to=self.gateway_port)

    def _start(self) -> None:
        source = self.places.root / "source"
        (source / "tests").mkdir(parents=True)
        build(
            source,
            [*crash_points.edits(), *self._bugs],
            crash_points.modules(self.places.crash),
        )
        self.places.crash.mkdir()
        self.places.state.mkdir()
        self._opened.enter_context(self.redis_disk)
        self._opened.enter_context(self.database_disk)
        (self.places.state / "redis").symlink_to(self.redis_disk.folder)
        self.postgres = PostgresServer(
            self.places.root / "postgres",
            data=self.database_disk.folder / "data",
            settings=(*KEEPS_COMMITS, "max_wal_size = 128MB"),
        )
        (self.places.state / "redis.port").write_text(f"{self.redis_port}\n", encoding="ascii")
        self._opened.callback(self.postgres.stop)
        self.postgres.start()
        self._opened.enter_context(self._links)
        self._make_links()
        log = self.places.root / "run.log"
        self._run = Process(
            "the system",
            (sys.executable, "-m", "tests.faults.stage.parts"),
            log=log,
            directory=source,
            environment={
                **os.environ,
                **self._common(),
                FAULTS_ENVIRONMENT: json.dumps(self._environment()),
            },
            # It stops its parts in good order, also when we were killed.
            death_signal=signal.SIGTERM,
        )
        self._run.start()
        self._run.wait_until_ready(lambda: "\nready http" in "\n" + _text_of(log), START_SECONDS)
        with self.database() as connection:
            connection.execute(_COPY_OUTBOX)

    def _stop(self) -> None:
        if self._run is not None:
            self._run.stop(STOP_SECONDS)
        self._opened.close()
        if not self.keep:
            shutil.rmtree(self.places.root, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether whoever supervises the parts still runs."""
        return self._run is not None and self._run.running


def _text_of(log: Path) -> str:
    with suppress(FileNotFoundError):
        return log.read_text(encoding="utf-8", errors="replace")
    return ""
