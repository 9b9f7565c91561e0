"""A client without EventSource: it polls in JSON over one connection that it keeps."""

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loadtest.eventsource import ReceivedEvent
from stack.gateway import Gateway

DEADLINE_SECONDS = 20.0


@dataclass
class Poll:
    """One answer.

    Attributes:
        events: the frames, as an EventSource would have them.
        reset: what the reset says; None without one.
    """

    status: int
    headers: Mapping[str, str]
    cursor: str = ""
    events: list[ReceivedEvent] = field(default_factory=list)
    reset: Mapping[str, object] | None = None

    def numbers(self) -> list[int]:
        """The `n` of the frames."""
        return [json.loads(event.data)["n"] for event in self.events]


class PollingClient:
    """Asks for what comes after the cursor it was told last.

    Attributes:
        connects: how often it had to open a connection.
    """

    def __init__(
        self,
        gateway: Gateway,
        channels: str | Sequence[str],
        cursor: str = "",
        accept: str = "application/json",
    ) -> None:
        host, _, port = gateway.settings.listen.rpartition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=DEADLINE_SECONDS)
        path = channels if isinstance(channels, str) else "/".join(channels)
        self._target = f"/sub/{path}"
        self._accept = accept
        self.cursor = cursor
        self.connects = 0

    def send(self, headers: Mapping[str, str] | None = None) -> None:
        """Asks."""
        if self._connection.sock is None:
            self.connects += 1
        asked = {"Accept": self._accept, **(headers or {})}
        if self.cursor:
            asked.setdefault("Last-Event-ID", self.cursor)
        self._connection.request("GET", self._target, headers=asked)

    def receive(self) -> Poll:
        """Reads the answer and moves on to its cursor."""
        response = self._connection.getresponse()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        if response.status != 200:
            return Poll(response.status, headers)
        answer = json.loads(body)
        assert set(answer) == {"cursor", "frames", "reset"}
        self.cursor = answer["cursor"]
        events = [ReceivedEvent(f["event"], f["data"], f["id"], 0) for f in answer["frames"]]
        return Poll(response.status, headers, self.cursor, events, answer["reset"])

    def poll(self, headers: Mapping[str, str] | None = None) -> Poll:
        """Asks and reads the answer; a connection that breaks is closed."""
        try:
            self.send(headers)
            return self.receive()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        """Closes the connection; the next poll opens another one."""
        self._connection.close()
