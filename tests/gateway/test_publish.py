"""/pub on the private listener: into the log once, with push-stream's answer."""

import json

import pytest

from stack.gateway import Answer, Gateway
from tests.gateway.conftest import LogWriter, Subscribe

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def publish(gateway: Gateway, channels: str, body: str | bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.private("POST", f"/pub?id={channels}", body, named)


def test_a_published_frame_arrives(gateway: Gateway, subscribe: Subscribe, channel: str) -> None:
    subscriber = subscribe(channel)
    answer = publish(gateway, channel, '{"text": "hi"}', Event_Type="post.made", Event_Id="e-1")
    assert answer.status == 200
    assert json.loads(answer.body) == {
        "channel": channel,
        "published_messages": 1,
        "stored_messages": 1,
        "subscribers": 1,
    }
    event = subscriber.wait_for(1)[0]
    assert event.type == "post.made"
    data = json.loads(event.data)
    assert data["text"] == "hi"
    assert (data["event_id"], data["object"], data["version"]) == ("e-1", "", 0)
    assert data["at"]
    assert data["channels"] == [channel]


def test_the_bodys_own_fields_are_kept(
    gateway: Gateway, subscribe: Subscribe, channel: str
) -> None:
    subscriber = subscribe(channel)
    own = {
        "event_id": "mine",
        "object": "a.b:1",
        "version": 7,
        "at": "then",
        "channels": ["a"],
        "n": 1,
    }
    publish(gateway, channel, json.dumps(own))
    event = subscriber.wait_for(1)[0]
    assert json.loads(event.data) == own
    assert event.type == "published"


def test_an_event_id_publishes_once(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    for _ in range(3):
        answer = publish(gateway, channel, '{"n": 1}', Event_Id=f"once-{channel}")
        assert (answer.status, json.loads(answer.body)["stored_messages"]) == (200, 1)
    log.append(channel, n=2)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1, 2]


def test_several_channels_get_one_entry(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    other = channel + ".other"
    subscriber = subscribe([channel, other])
    answer = publish(gateway, f"{channel}/{other}", '{"n": 1}')
    infos = json.loads(answer.body)["infos"]
    assert [info["channel"] for info in infos] == [channel, other]
    log.append(channel, n=2)
    subscriber.wait_for(2)
    assert subscriber.numbers() == [1, 2]


def test_line_ends_between_tokens_are_taken_out(
    gateway: Gateway, subscribe: Subscribe, channel: str
) -> None:
    subscriber = subscribe(channel)
    publish(gateway, channel, '\r\n{\n"text":\t"a\\nb \\" c\\\\",\r\n "n": [1,\n2]}\n')
    data = json.loads(subscriber.wait_for(1)[0].data)
    assert (data["text"], data["n"]) == ('a\nb " c\\', [1, 2])


def test_an_empty_object_is_a_frame(gateway: Gateway, subscribe: Subscribe, channel: str) -> None:
    subscriber = subscribe(channel)
    publish(gateway, channel, "{ }")
    assert set(json.loads(subscriber.wait_for(1)[0].data)) == {
        "event_id",
        "object",
        "version",
        "at",
        "channels",
    }


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "1",
        '"text"',
        "null",
        "{",
        '{"a": 1} x',
        '{"a": "b\nc"}',
        '{"a": "b\x00c"}',
        '{"a": "b\\\nc"}',
        b'{"a": "\xff"}',
        "data: {}",
        '{"a": NaN}',
        '{"a": 0x1f}',
        '{"a": 1.}',
        '{"a": -.5}',
        '{"a": "\\ud800"}',
    ],
)
def test_what_is_not_a_json_object_is_refused(
    gateway: Gateway, log: LogWriter, channel: str, body: str | bytes
) -> None:
    before = log.now()
    answer = publish(gateway, channel, body)
    assert answer.status == 400
    assert answer.body.count(b"\n") == 1
    assert log.now() == before


@pytest.mark.parametrize("target", ["/pub", "/pub?id=", "/pub?id=Thread", "/pub?id=thread:1.b3"])
def test_a_bad_channel_is_refused(gateway: Gateway, target: str) -> None:
    assert gateway.private("POST", target, "{}").status == 400


@pytest.mark.parametrize("value", ["a b", "a\tb", "-a", "é", "a" * 200, "a\x7f", "a: b"])
@pytest.mark.parametrize("name", ["Event-Type", "Event-Id"])
def test_a_header_that_could_break_out_of_its_field_is_refused(
    gateway: Gateway, channel: str, name: str, value: str
) -> None:
    headers = {name: value.encode("utf-8").decode("latin-1")}
    assert gateway.private("POST", f"/pub?id={channel}", "{}", headers).status == 400


@pytest.mark.parametrize("size", [66_000, 600_000, 2_000_000])
def test_too_large_a_body_is_refused(gateway: Gateway, channel: str, size: int) -> None:
    body = json.dumps({"text": "x" * size})
    assert publish(gateway, channel, body).status == 413


def test_other_methods_are_refused(gateway: Gateway, channel: str) -> None:
    for method in ("GET", "PUT", "PATCH"):
        answer = gateway.private(method, f"/pub?id={channel}")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST, DELETE")


def test_health(gateway: Gateway) -> None:
    assert gateway.private("GET", "/healthz").status == 200
    assert gateway.private("GET", "/readyz").status == 200
