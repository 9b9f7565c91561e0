"""Webhooks, firehose and pings as a consumer sees them; signatures checked by the specification's
own library.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from formatter.errors import InvalidPublishers
from formatter.publishers import Webhook, WebSub
from formatter.publishers.item import Item, item_of
from formatter.publishers.signature import read_secrets
from pushgate import Cursor, Event, frame_of
from tests.consumer import Consumer


@pytest.fixture
def consumer() -> Iterator[Consumer]:
    consumer = Consumer()
    yield consumer
    consumer.close()


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def item(number: int, channel: str = "thread:1") -> Item:
    frame = frame_of(Event("comment.created", (channel,), {"number": number, "text": "Ä"}))
    return item_of(frame.data, frame.channels, Cursor("0000000a", 1_000 + number, 0))


def webhook(consumer: Consumer, secret: str, **options: Any) -> Webhook:
    made = Webhook("hook", consumer.url, secret_variable="SECRET", channels=["thread:*"], **options)
    made.configure({"SECRET": secret})
    return made


def test_a_webhooks_signature_is_the_one_of_the_specification(consumer: Consumer) -> None:
    secret = new_secret()
    sent = item(1)
    webhook(consumer, secret).send([sent])
    (request,) = consumer.received
    assert Verifier(secret).verify(request.body, request.headers)["data"]["number"] == 1
    assert request.headers["webhook-id"] == sent.id
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Verifier(new_secret()).verify(request.body, request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(request.body.replace(b"1", b"2"), request.headers)


def test_while_a_secret_changes_either_verifies(consumer: Consumer) -> None:
    new, old = new_secret(), new_secret()
    webhook(consumer, f"{new} {old}").send([item(1)])
    (request,) = consumer.received
    for secret in (new, old):
        Verifier(secret).verify(request.body, request.headers)


def test_a_firehose_sends_lines_signed_together(consumer: Consumer) -> None:
    secret = new_secret()
    firehose = webhook(consumer, secret, batch=100)
    firehose.send([item(n) for n in range(3)])
    (request,) = consumer.received
    Verifier(secret).verify(request.body, request.headers, json_parse=False)
    assert request.headers["content-type"] == "application/x-ndjson"
    assert consumer.numbers() == [0, 1, 2]


def test_a_batch_has_the_id_of_what_is_in_it(consumer: Consumer) -> None:
    firehose = webhook(consumer, new_secret(), batch=100)
    items = [item(n) for n in range(3)]
    for batch in (items, items, items[:2]):
        firehose.send(batch)
    first, again, other = (request.headers["webhook-id"] for request in consumer.received)
    assert first == again != other


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "empty"),
        ("geheim", "begins with whsec_"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "24 to 64 bytes"),
        ("whsec_###", "not base64"),
    ],
)
def test_a_wrong_secret_is_refused_and_not_shown(text: str, wrong: str) -> None:
    hook = Webhook("hook", "https://example.org/", secret_variable="SECRET", channels=["thread:*"])
    with pytest.raises(InvalidPublishers, match=wrong) as caught:
        hook.configure({"SECRET": text})
    assert not text or text not in str(caught.value)


def test_a_secret_without_padding_is_read() -> None:
    padded = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert read_secrets(padded.rstrip("=")) == read_secrets(padded) == (b"x" * 32,)


def hub(consumer: Consumer, **options: Any) -> WebSub:
    settings = {"topic": "https://example.org/threads/{id}/feed", "channels": ["thread:*"]}
    return WebSub("feeds", consumer.url, **{**settings, **options})


def test_a_hub_is_told_each_topic_once(consumer: Consumer) -> None:
    hub(consumer).send([item(1, "thread:1"), item(2, "thread:2"), item(3, "thread:1")])
    topics = [f"https://example.org/threads/{n}/feed" for n in (1, 2)]
    assert [request.form for request in consumer.received] == [
        {"hub.mode": ["publish"], "hub.url": [topic], "hub.topic": [topic]} for topic in topics
    ]
    assert {request.headers["content-type"] for request in consumer.received} == {
        "application/x-www-form-urlencoded"
    }


def test_a_hub_is_not_told_of_channels_that_are_not_the_publishers(consumer: Consumer) -> None:
    frame = frame_of(Event("comment.created", ("thread:1", "user:2"), {}))
    both = item_of(frame.data, frame.channels, Cursor("0000000a", 1, 0))
    hub(consumer, topic="https://example.org/{channel}").send([both])
    assert [r.form["hub.url"] for r in consumer.received] == [["https://example.org/thread:1"]]


def test_what_it_is_is_said_without_the_secret(consumer: Consumer) -> None:
    secret = new_secret()
    described = [
        webhook(consumer, secret).describe(),
        webhook(consumer, secret, batch=50).describe(),
        hub(consumer).describe(),
    ]
    assert described == [
        f"hook: webhook of thread:* to {consumer.url}",
        f"hook: firehose in batches of 50 of thread:* to {consumer.url}",
        f"feeds: WebSub pings of thread:* to {consumer.url}",
    ]
