"""Pings for a WebSub hub (PubSubHubbub): a topic has news, which the hub fetches and hands out."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from formatter.publishers.endpoint import Endpoint, wrong_with
from formatter.publishers.item import Item
from formatter.publishers.publisher import Publisher


class WebSub(Publisher):
    """Tells a hub of the topics that have news, each once for all frames that wait.

    A ping is `hub.mode=publish` with the topic's address. W3C WebSub leaves the form open; hubs
    read the address as `hub.url` (PubSubHubbub 0.3) or as `hub.topic`, so it is given as both. A
    ping says nothing of what is new, so one that came late or twice does no harm, and one that was
    given up is made good by the next of its topic.

    Args:
        name: see `Publisher`, and for what is not named here.
        hub: its address.
        topic: a topic's address, exactly as its `rel="self"` link has it: `{channel}` stands for
            the channel's name, `{id}` for what follows its first colon.
        insecure: have plain http go anywhere.
    """

    tells_resets = False

    def __init__(
        self,
        name: str,
        hub: str,
        *,
        topic: str,
        channels: Sequence[str],
        types: Sequence[str] = (),
        concurrency: int = 4,
        give_up_seconds: float = 900.0,
        insecure: bool = False,
    ) -> None:
        super().__init__(
            name,
            channels=channels,
            types=types,
            batch=100,
            concurrency=concurrency,
            give_up_seconds=give_up_seconds,
        )
        wrong = wrong_with(hub, insecure)
        if wrong:
            raise self.invalid(f"hub {wrong}")
        self.hub = hub
        self.topic = topic
        wrong = wrong_with(self._topic_of("thread:42"), insecure=True)
        if wrong:
            raise self.invalid(f"topic {wrong}")
        self._endpoint = Endpoint(hub, concurrency, "Pushgate-WebSub/1")

    def send(self, items: Sequence[Item]) -> None:
        """See `Publisher.send`."""
        topics = {
            self._topic_of(channel): None
            for item in items
            for channel in self.wanted(item.channels)
        }
        for topic in topics:
            fields = {"hub.mode": "publish", "hub.url": topic, "hub.topic": topic}
            self._endpoint.post(
                urlencode(fields).encode(), {"content-type": "application/x-www-form-urlencoded"}
            )

    def close(self) -> None:
        """See `Publisher.close`."""
        self._endpoint.close()

    def describe(self) -> str:
        """See `Publisher.describe`."""
        return f"{self.name}: WebSub pings of {', '.join(self.channels)} to {self.hub}"

    def _topic_of(self, channel: str) -> str:
        number = channel.partition(":")[2] or channel
        return self.topic.replace("{channel}", channel).replace("{id}", number)
