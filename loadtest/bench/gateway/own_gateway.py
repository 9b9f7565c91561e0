"""A gateway and a Redis for a benchmark alone."""

from __future__ import annotations

import json
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from loadtest.bench.gateway.frames import frame
from loadtest.bench.spent import family_cpu_seconds
from pushgate import Keys, connect
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH
from pushgate.scripts import script_text
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer

_WINDOW_SECONDS = 3600
_REST_SECONDS = 30
_COMPLAINT = re.compile(r"\[(?:crit|alert|emerg)\]|exited on signal")
_DEPARTURES = re.compile(r'^pushgate_departures_total\{reason="(\w+)"\} (\S+)$', re.MULTILINE)
_ERROR = re.compile(r"\[error\]")


class OwnGateway:
    """A gateway with its own Redis, and the log that it follows.

    Args:
        directory: for their files; short.
        workers: how many worker processes.
        settings: further `PUSHGATE_...` settings.
    """

    begins_with = b"\nid: "

    def __init__(self, directory: Path, workers: int, settings: Mapping[str, str]) -> None:
        platform = Platform.find()
        self._redis = RedisServer(platform, directory / "redis", free_port())
        self.port = free_port()
        self._keys = Keys("bench")
        self.gateway = Gateway(
            platform,
            directory / "gateway",
            GatewaySettings(
                listen=f"127.0.0.1:{self.port}",
                redis_url=self._redis.url,
                namespace=self._keys.namespace,
                workers=str(workers),
                more=settings,
            ),
        )
        self._client = connect(self._redis.url)
        self._digest = ""

    def start(self) -> None:
        """Start Redis and the gateway; return when it follows the log."""
        self._redis.start()
        self._digest = str(self._client.script_load(script_text("publish")))
        self.gateway.start()

    def stop(self) -> None:
        """Stop both."""
        self.gateway.stop()
        self._client.close()
        self._redis.stop()

    def send(self, frames: Sequence[tuple[str, int]]) -> None:
        """Append frames to the log, as the formatter's last step does: channels and numbers."""
        with self._client.pipeline(transaction=False) as together:
            for channel, number in frames:
                event_id = uuid.uuid4().hex
                keys = self._keys
                together.evalsha(
                    self._digest,
                    4,
                    *(keys.log, keys.ledger, keys.put(event_id), keys.channel(channel)),
                    *(channel, frame(number), HISTORY_LENGTH, HISTORY_SECONDS),
                    *(LOG_LENGTH, _WINDOW_SECONDS),
                )
            together.execute()

    @property
    def pids(self) -> list[int]:
        """Of nginx' processes."""
        return [self.gateway.pid, *self.gateway.worker_pids]

    def cpu_seconds(self) -> float:
        """Return what nginx' processes have used until now."""
        return family_cpu_seconds(self.gateway.pid)

    def redis_cpu_seconds(self) -> float:
        """Return what Redis has used until now."""
        return family_cpu_seconds(self._redis.pid)

    def resident_bytes(self) -> int:
        """Return the memory of nginx' processes that is in RAM, what they share counted once."""
        return sum(int(psutil.Process(pid).memory_full_info().pss) for pid in self.pids)

    def ledger_at_rest(self) -> dict[str, Any]:
        """Return the gateway's books once no stream is open.

        Raises:
            DeadlineMissed: streams stay open.
        """
        books: dict[str, Any] = {}

        def are_closed() -> bool:
            books.update(json.loads(self.gateway.private("GET", "/ledger").body))
            return bool(books["streams"]["open"] == 0)

        wait_until(are_closed, _REST_SECONDS, "the gateway has booked the end of every stream")
        return books

    def departures(self) -> dict[str, int]:
        """Return how many streams ended, by reason; `client` and `exit` are not the gateway's."""
        metrics = self.gateway.private("GET", "/metrics").body.decode()
        return {reason: int(float(count)) for reason, count in _DEPARTURES.findall(metrics)}

    def complaints(self) -> list[str]:
        """Return the lines of nginx' log that tell of alerts or worse, and of dead workers."""
        return self._log_lines(_COMPLAINT)

    def errors(self) -> list[str]:
        """Return the lines that tell of errors; the gateway may have got over them."""
        return self._log_lines(_ERROR)

    def _log_lines(self, wanted: re.Pattern[str]) -> list[str]:
        lines = self.gateway.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if wanted.search(line)]

    def descriptors(self) -> list[int]:
        """Return how many descriptors each worker has open."""
        return [psutil.Process(pid).num_fds() for pid in self.gateway.worker_pids]


@contextmanager
def own_gateway(workers: int = 1, **settings: str) -> Iterator[OwnGateway]:
    """Give a gateway of its own that follows a log; all is stopped at the end.

    Args:
        settings: `PUSHGATE_...` settings, their names in small letters and without the prefix.
    """
    with tempfile.TemporaryDirectory(prefix="pushgate-bench-") as folder:
        more = {f"PUSHGATE_{name.upper()}": value for name, value in settings.items()}
        own = OwnGateway(Path(folder), workers, more)
        try:
            own.start()
            yield own
        finally:
            own.stop()
