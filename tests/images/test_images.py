"""The images, each by itself and together as docker/compose.yaml says: `make test-images`."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

import pytest
import redis

from loadtest.eventsource import EventSourceClient, ReceivedEvent
from pushgate import Keys
from pushgate.leases import RELAY
from stack.process import wait_until
from tests.images.composition import Composition

pytestmark = pytest.mark.timeout(300)

PARTS = ("redis", "gateway", "formatter", "relay", "site")
GATEWAY = "http://127.0.0.1:8080"
DEADLINE_SECONDS = 20


def ask_site(method: str, path: str, content: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=10)
    try:
        body = None if content is None else json.dumps(content)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def post_comment(text: str) -> int:
    status, answer = ask_site("POST", "/api/threads/1/comments/", {"author": "Ada", "text": text})
    assert status == 201, answer
    return int(json.loads(answer)["id"])


def next_event(subscriber: EventSourceClient) -> ReceivedEvent:
    return next(subscriber.events(DEADLINE_SECONDS))


@pytest.fixture
def in_redis(composition: Composition) -> redis.Redis:
    return redis.Redis(port=6379, socket_timeout=5, decode_responses=True)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_healthy(composition: Composition, part: str) -> None:
    assert composition.containers[part].is_healthy


def test_the_site_serves_its_first_page(composition: Composition) -> None:
    status, page = ask_site("GET", "/")
    assert status == 200
    stylesheet = re.search(rb'href="(/static/[^"]+\.css)"', page)
    assert stylesheet, page
    assert ask_site("GET", stylesheet[1].decode())[0] == 200


def test_the_formatter_holds_every_partition_and_the_relay_its_lease(
    composition: Composition, in_redis: redis.Redis
) -> None:
    keys = Keys()
    leases = [keys.lease(str(number)) for number in range(8)] + [keys.lease(RELAY)]
    wait_until(lambda: in_redis.exists(*leases) == 9, DEADLINE_SECONDS, "all leases are held")


def test_redis_keeps_everything_it_is_given(
    composition: Composition, in_redis: redis.Redis
) -> None:
    assert in_redis.ping()
    kept = in_redis.config_get("appendonly", "maxmemory-policy", "maxmemory")
    assert kept == {
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "maxmemory": str(1024**3),
    }


def test_a_comment_posted_to_the_site_arrives_at_a_subscriber(composition: Composition) -> None:
    with EventSourceClient(f"{GATEWAY}/sub/thread:1") as subscriber:
        subscriber.connect()
        comment = post_comment("Hello from a container")
        event = next_event(subscriber)
    data = json.loads(event.data)
    assert (event.type, data["id"], data["text"]) == (
        "comment.created",
        comment,
        "Hello from a container",
    )


def test_a_page_of_the_site_may_subscribe(composition: Composition) -> None:
    origin = "http://localhost:8000"
    with EventSourceClient(f"{GATEWAY}/sub/thread:1", headers={"Origin": origin}) as subscriber:
        subscriber.connect()
    assert subscriber.answer_headers["access-control-allow-origin"] == origin


def test_one_can_publish_on_the_gateways_private_socket(composition: Composition) -> None:
    with EventSourceClient(f"{GATEWAY}/sub/forum:9") as subscriber:
        subscriber.connect()
        answer = composition.containers["gateway"].ask(
            *("curl", "--silent", "--fail-with-body", "--data", '{"text":"tea"}'),
            *("--header", "Event-Type: break", "--unix-socket", "/run/pushgate/private.sock"),
            "http://gateway/pub?id=forum:9",
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert next_event(subscriber).type == "break"


@pytest.mark.parametrize("part", [part for part in PARTS if part != "redis"])
def test_a_part_that_is_stopped_ends_in_time_and_comes_back(
    composition: Composition, part: str
) -> None:
    container = composition.containers[part]
    assert container.stop() == 0, container.log.read_text()
    assert not container.is_healthy
    container.start()
    container.wait_until_healthy()


def test_without_redis_the_gateway_lives_and_says_that_it_is_not_ready(
    composition: Composition,
) -> None:
    gateway, server = composition.containers["gateway"], composition.containers["redis"]
    with EventSourceClient(f"{GATEWAY}/sub/thread:1") as subscriber:
        subscriber.connect()
        assert server.stop() == 0, server.log.read_text()
        try:
            wait_until(lambda: not gateway.is_healthy, DEADLINE_SECONDS, "/readyz says no")
            assert gateway.ask("healthy").returncode == 0
            comment = post_comment("Said while Redis was away")
        finally:
            server.start()
            server.wait_until_healthy()
        event = next_event(subscriber)
        assert json.loads(event.data)["id"] == comment
    for part in ("gateway", "formatter", "relay"):
        composition.containers[part].wait_until_healthy()


@pytest.mark.parametrize("part", PARTS)
def test_an_image_is_not_run_by_root_and_holds_no_tools(
    composition: Composition, part: str
) -> None:
    container = composition.containers[part]
    assert container.image["User"] == "pushgate"
    assert container.ask("id", "--user", "--name").stdout == "pushgate\n"
    tools = ("gcc", "make", "git", "pip", "pip3", "mypy", "ruff", "pytest", "playwright")
    found = container.ask("sh", "-c", f"command -v {' '.join(tools)}")
    assert found.stdout == ""


@pytest.mark.parametrize("part", PARTS)
def test_an_image_holds_nothing_that_was_lent_to_its_build(
    composition: Composition, part: str
) -> None:
    container = composition.containers[part]
    left = container.ask("find", "/etc/pip.conf", "/run/secrets", "-type", "f", "-size", "+0")
    assert left.stdout == ""
    assert not [
        word for word in container.image["Env"] if re.match("pip_|https?_proxy", word, re.I)
    ]


def test_a_volumes_folder_belongs_to_the_image_user(composition: Composition) -> None:
    """A new volume takes its owner from the folder in the image."""
    for name, container in composition.containers.items():
        for volume in composition.services[name].get("volumes", ()):
            owner = container.ask("stat", "--format=%U", volume["target"])
            assert owner.stdout == "pushgate\n", (name, volume)
