"""A Redis of our own: append-only file, flushed every second, bounded memory; or a Valkey, which
reads the same configuration.
"""

from collections.abc import Sequence
from pathlib import Path

import redis

from stack.platform import Platform
from stack.process import Process

# At the bound writes are refused, which the site's outbox and the queue can bear; an evicted
# key would be a silent loss.
MAXMEMORY = "1gb"

_CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir "{directory}"
daemonize no
# A reply comes after the write to the file, so a killed server loses nothing; but while a sync
# takes longer than a second, the write waits up to two. A power cut can lose the last second.
appendonly yes
appendfsync everysec
save ""
maxmemory {maxmemory}
maxmemory-policy noeviction
# The caller's locale may not exist in the private root; without this Redis then refuses to start.
locale-collate C
"""


def redis_command(
    platform: Platform,
    directory: Path,
    port: int,
    *,
    server_command: Sequence[str] | None = None,
    settings: Sequence[str] = (),
) -> tuple[str, ...]:
    """Write `redis.conf` into `directory` and return the command that starts Redis with it.

    Args:
        server_command: another server that reads the same file; None is the platform's Redis.
        settings: further lines of the file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "redis.conf"
    configuration.write_text(
        _CONFIGURATION.format(port=port, directory=directory.resolve(), maxmemory=MAXMEMORY)
        + "".join(f"{line}\n" for line in settings),
        encoding="utf-8",
    )
    return (*(server_command or platform.redis_server_command), str(configuration.resolve()))


def redis_answers(url: str) -> bool:
    """Return whether the server there answers PING (it does not while it loads its file)."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


class RedisServer:
    """A Redis server that keeps its data in one folder, so that it can be killed and started again.

    Args:
        directory: for its data, configuration and log.
        server_command: see `redis_command`.
        settings: see `redis_command`.
    """

    def __init__(
        self,
        platform: Platform,
        directory: Path,
        port: int,
        *,
        server_command: Sequence[str] | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._platform = platform
        self._directory = directory
        self._port = port
        self._process = Process(
            "redis",
            redis_command(
                platform, directory, port, server_command=server_command, settings=settings
            ),
            log=directory / "redis.log",
        )

    @property
    def pid(self) -> int:
        """The server's process id; raises StackError when it does not run."""
        return self._process.pid

    def start(self, deadline_seconds: float = 15) -> None:
        """Start the server and return when it answers; raises StackError when it does not."""
        self._process.start()
        self._process.wait_until_ready(lambda: redis_answers(self.url), deadline_seconds)

    def stop(self) -> None:
        """Stop the server in good order; do nothing when it does not run."""
        self._process.stop()

    def kill(self) -> None:
        """Kill the server as a crash would; `start` brings it back with its data."""
        self._process.kill()
