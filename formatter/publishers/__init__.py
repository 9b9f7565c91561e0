"""Publishers: followers of the log that send it on, each at its own pace. A site lists them beside
its pipelines:

    publishers = [
        Webhook("search", "https://search.example.org/pushgate", secret_variable="SEARCH_SECRET",
                channels=["thread:*"]),
        WebSub("feeds", "https://hub.example.org/", topic="https://example.org/threads/{id}/feed",
               channels=["thread:*"]),
    ]
"""

from formatter.publishers.item import Item
from formatter.publishers.loading import load_publishers
from formatter.publishers.publisher import (
    EVERYTHING,
    Gone,
    Publisher,
    Refused,
    SendFailed,
    Unavailable,
)
from formatter.publishers.running import Publishers, start
from formatter.publishers.webhook import Webhook
from formatter.publishers.websub import WebSub

__all__ = [
    "EVERYTHING",
    "Gone",
    "Item",
    "Publisher",
    "Publishers",
    "Refused",
    "SendFailed",
    "Unavailable",
    "WebSub",
    "Webhook",
    "load_publishers",
    "start",
]
