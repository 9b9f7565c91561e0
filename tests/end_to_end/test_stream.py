"""The stream as `curl` sees it, through every part."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable

import pytest

from stack.process import wait_until
from tests.end_to_end.conftest import DEADLINE_SECONDS, Reader, System

pytestmark = pytest.mark.whole_system

Read = Callable[..., Reader]


def wait_for(reader: Reader, texts: list[str]) -> None:
    wait_until(lambda: reader.texts() == texts, DEADLINE_SECONDS, f"the reader has {texts}")


def test_the_prologue_comes_before_anything_else(system: System) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", system.run.gateway_port, timeout=10)
    connection.request("GET", f"/sub/thread:{system.new_thread()}")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    lines = [response.readline() for _ in range(3)]
    assert lines[0].startswith(b"retry: ")
    assert lines[1].startswith(b"id: ")
    assert lines[2] == b"\n"
    connection.close()


def test_writes_come_as_frames_in_their_order(system: System, read: Read) -> None:
    thread = system.new_thread()
    reader = read(thread)
    comment = system.say(thread, "one")
    assert system.call("PATCH", f"/api/comments/{comment}/", {"text": "two"}).status == 200
    assert system.call("DELETE", f"/api/comments/{comment}/").status == 204
    wait_until(lambda: len(reader.events) == 3, DEADLINE_SECONDS, "three frames are there")
    assert [event.type for event in reader.events] == [
        "comment.created",
        "comment.updated",
        "comment.deleted",
    ]
    data = [json.loads(event.data) for event in reader.events]
    assert {each["object"] for each in data} == {f"threads.comment:{comment}"}
    versions = [each["version"] for each in data]
    assert versions == sorted(set(versions))
    assert data[0]["thread"] == thread
    assert data[0]["author"] == "Ada"


def test_a_subscriber_that_brings_an_id_gets_exactly_what_came_after_it(
    system: System, read: Read
) -> None:
    thread = system.new_thread()
    reader = read(thread)
    texts = [f"comment {n}" for n in range(10)]
    for text in texts:
        system.say(thread, text)
    wait_for(reader, texts)
    for place, event in enumerate(reader.events):
        resumed = read(thread, event.id)
        wait_for(resumed, texts[place + 1 :])
        assert [e.id for e in resumed.events] == [e.id for e in reader.events[place + 1 :]]


def test_a_comment_of_another_thread_is_not_heard(system: System, read: Read) -> None:
    thread, other = system.new_thread(), system.new_thread()
    reader = read(thread)
    system.say(other, "elsewhere")
    system.say(thread, "here")
    wait_for(reader, ["here"])


@pytest.mark.parametrize("text", ["a" * 65_537, "\u00e9" * 32_769, '"' * 32_769])
def test_a_comment_over_64_kb_is_refused_and_nothing_is_stored(system: System, text: str) -> None:
    thread = system.new_thread()
    address = f"/api/threads/{thread}/comments/"
    answer = system.call("POST", address, {"author": "Ada", "text": text})
    assert answer.status == 413
    assert system.call("GET", address).body["comments"] == []


def test_an_unknown_channel_is_refused_with_the_rule(system: System) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", system.run.gateway_port, timeout=10)
    connection.request("GET", "/sub/Thread%201")
    response = connection.getresponse()
    assert response.status == 400
    assert b"begins with a letter or digit" in response.read()
    connection.close()
