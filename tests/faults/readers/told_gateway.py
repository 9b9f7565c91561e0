"""A real gateway that is told of made-up writes, for the tests of those who read."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType

from pushgate import Keys, RedisLog
from pushgate.connection import connect
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port
from stack.redis_server import RedisServer
from tests.faults.checking.story import Story
from tests.faults.evidence import CommittedEvent


class ToldGateway:
    """A gateway and its Redis; a context manager.

    Attributes:
        folder: with the files of both.
        story: what was written; its evidence is the truth.
        lock: held while it is written and published.
    """

    def __init__(self, folder: Path) -> None:
        platform = Platform.find()
        self.folder = folder
        self.redis = RedisServer(platform, folder / "redis", free_port())
        self._port = free_port()
        settings = GatewaySettings(
            listen=f"127.0.0.1:{self._port}",
            redis_url=self.redis.url,
            workers="2",
            more={"PUSHGATE_RETRY_MIN_MS": "50", "PUSHGATE_RETRY_MAX_MS": "100"},
        )
        self.gateway = Gateway(platform, folder / "gateway", settings)
        self.story = Story()
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        """Where subscribers come."""
        return self._port

    def cursor(self) -> str:
        """Return the log's end."""
        with connect(self.redis.url) as client:
            return str(RedisLog(client, Keys("pushgate")).cursor())

    def tell(self, thread: int, text_type: str = "comment.created", comment: int = 0) -> int:
        """Write once, publish the events of it, and return the write's number."""
        with self.lock:
            comments = (comment,) if comment else ()
            events = self.story.write(thread, text_type, comments)
            for event in events:
                self._publish(event)
            return self.story.evidence.writes[-1].number

    def _publish(self, event: CommittedEvent) -> None:
        body = {
            "event_id": event.event_id,
            "object": event.object,
            "version": event.row,
            **event.data,
        }
        answer = self.gateway.private(
            "POST",
            f"/pub?id={event.channels[0]}",
            json.dumps(body),
            {"Event-Type": event.type, "Event-Id": event.event_id},
        )
        if answer.status != 200:
            raise AssertionError(f"not published: {answer.status} {answer.body!r}")

    def __enter__(self) -> ToldGateway:
        self.redis.start()
        try:
            self.gateway.start()
        except BaseException:
            self.redis.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gateway.stop()
        self.redis.stop()
