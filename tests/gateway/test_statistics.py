"""/channels-stats and the answers of /pub, as users of the push-stream module know them."""

import json
import re
from xml.etree import ElementTree

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import LogWriter, Subscribe

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

EXPLAIN = "X-Nginx-PushStream-Explain"


def statistics(gateway: Gateway, identifier: str, accept: str = "application/json") -> str:
    query = f"?id={identifier}" if identifier else ""
    answer = gateway.private("GET", f"/channels-stats{query}", headers={"Accept": accept})
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == accept
    return answer.body.decode()


def test_of_one_channel(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscribers = [subscribe(channel) for _ in range(3)]
    log.append(channel)
    for subscriber in subscribers:
        subscriber.wait_for(1)
    assert json.loads(statistics(gateway, channel)) == {
        "channel": channel,
        "published_messages": 1,
        "stored_messages": 0,
        "subscribers": 3,
    }


def test_of_several_channels(gateway: Gateway, subscribe: Subscribe, channel: str) -> None:
    subscribe([f"{channel}.a", f"{channel}.b", f"{channel}.c"])
    found = json.loads(statistics(gateway, f"{channel}.a/{channel}.c/{channel}.unknown"))
    assert {info["channel"] for info in found["infos"]} == {f"{channel}.a", f"{channel}.c"}


def test_of_a_prefix(gateway: Gateway, subscribe: Subscribe, channel: str) -> None:
    subscribe([f"{channel}.a", f"{channel}.b", channel])
    found = json.loads(statistics(gateway, f"{channel}.*"))
    assert {info["channel"] for info in found["infos"]} == {f"{channel}.a", f"{channel}.b"}
    assert json.loads(statistics(gateway, f"{channel}.none*"))["infos"] == []


@pytest.mark.parametrize("identifier", ["", "ALL", "*", "_*"])
def test_nothing_of_our_own_is_shown(
    gateway: Gateway, subscribe: Subscribe, identifier: str
) -> None:
    if identifier == "_*":
        answer = gateway.private("GET", "/channels-stats?id=_*")
        assert "_all" not in answer.body.decode()
        return
    for accept in ("application/json", "text/plain", "application/xml", "application/yaml"):
        assert "_all" not in statistics(gateway, identifier, accept)
    if identifier:
        found = json.loads(statistics(gateway, identifier))
        assert len(found["infos"]) == found["channels"]


def test_every_format_says_the_same(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    log.append(channel)
    subscriber.wait_for(1)
    wanted = json.loads(statistics(gateway, channel))
    tree = ElementTree.fromstring(statistics(gateway, channel, "application/xml"))
    assert {node.tag: node.text for node in tree} == {
        "name": channel,
        "published_messages": str(wanted["published_messages"]),
        "stored_messages": "0",
        "subscribers": "1",
    }
    for accept in ("text/plain", "application/yaml", "text/x-yaml"):
        rows = re.findall(r"^ *(\w+): (\S+)\r$", statistics(gateway, channel, accept), re.M)
        assert dict(rows) == {
            "channel": channel,
            "published_messages": "1",
            "stored_messages": "0",
            "active_subscribers" if accept == "text/plain" else "subscribers": "1",
        }


def test_the_summary_has_each_worker_in_every_format(gateway: Gateway) -> None:
    pids = {str(pid) for pid in gateway.worker_pids}
    found = json.loads(statistics(gateway, ""))
    assert {worker["pid"] for worker in found["by_worker"]} == pids
    tree = ElementTree.fromstring(statistics(gateway, "", "application/xml"))
    assert {node.text for node in tree.findall("by_worker/worker/pid")} == pids
    for accept in ("text/plain", "application/yaml"):
        shown = re.findall(r"^ +pid: (\d+)\r$", statistics(gateway, "", accept), re.M)
        assert set(shown) == pids


@pytest.mark.parametrize(
    ("accept", "begins"),
    [
        ("application/json", '{"channel": "'),
        ("text/plain", "channel: "),
        ("application/xml", "<?xml"),
        ("application/yaml", "  channel: "),
    ],
)
def test_pub_answers_in_the_format_asked_for(
    gateway: Gateway, channel: str, accept: str, begins: str
) -> None:
    answer = gateway.private("POST", f"/pub?id={channel}", "{}", {"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, accept)
    assert answer.body.decode().startswith(begins)


def test_pub_to_several_channels_answers_as_the_module_does(gateway: Gateway, channel: str) -> None:
    answer = gateway.private("POST", f"/pub?id={channel}.a/{channel}.b", "{}")
    found = json.loads(answer.body)
    assert list(found) == [
        "hostname",
        "time",
        "channels",
        "wildcard_channels",
        "uptime",
        "infos",
    ]
    assert found["channels"] == len(found["infos"]) == 2


@pytest.mark.parametrize(
    ("method", "target", "body", "explained"),
    [
        ("POST", "/pub", "{}", "No channel id provided."),
        ("POST", "/pub?id=thread:1", "", "Empty post requests are not allowed."),
        ("POST", "/pub?id=Thread", "{}", 'channel "Thread": a channel is'),
        ("POST", "/pub?id=thread:1", "[]", "the body is not a JSON object"),
        ("GET", "/channels-stats?id=Thread", None, 'channel "Thread": a channel is'),
        ("GET", "/channels-stats?id=thread:nobody", None, 'channel "thread:nobody" has no'),
    ],
)
def test_a_refusal_is_explained_in_the_modules_header(
    gateway: Gateway, method: str, target: str, body: str | None, explained: str
) -> None:
    answer = gateway.private(method, target, body)
    assert 400 <= answer.status < 500
    assert answer.headers[EXPLAIN].startswith(explained)


def test_event_id_and_event_type_are_taken(
    gateway: Gateway, subscribe: Subscribe, channel: str
) -> None:
    subscriber = subscribe(channel)
    headers = {"Event-Id": f"id-{channel.partition(':')[2]}", "Event-Type": "post.made"}
    for _ in range(2):
        assert gateway.private("POST", f"/pub?id={channel}", "{}", headers).status == 200
    event = subscriber.wait_for(1)[0]
    assert (event.type, json.loads(event.data)["event_id"]) == ("post.made", headers["Event-Id"])


def test_what_cannot_be_asked_is_refused(gateway: Gateway, channel: str) -> None:
    assert gateway.private("GET", f"/channels-stats?id={channel}").status == 404
    assert gateway.private("GET", "/channels-stats?id=_all").status == 400
    assert gateway.private("GET", "/channels-stats?id=a**").status == 400
    for method in ("POST", "PUT", "DELETE", "HEAD"):
        assert gateway.private(method, "/channels-stats").status == 405
