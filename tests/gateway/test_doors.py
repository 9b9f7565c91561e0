"""What the world reaches: subscribing, and nothing else."""

import pytest

from stack.gateway import Gateway
from tests.gateway.conftest import LogWriter, Subscribe, ask

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PRIVATE = (
    "/pub?id=thread:door",
    "/channels-stats?id=ALL",
    "/healthz",
    "/readyz",
    "/metrics",
    "/ledger",
)
ENGINE = ("/frames?id=thread:door", "/all?id=_all", "/statistics?id=ALL")


@pytest.mark.parametrize("target", [*PRIVATE, *ENGINE, "/", "/sub", "/favicon.ico"])
@pytest.mark.parametrize("method", METHODS)
def test_everything_but_sub_is_not_found(gateway: Gateway, method: str, target: str) -> None:
    answer = ask(gateway, method, target, {"Content-Length": "0"})
    # nginx itself refuses TRACE.
    assert answer.status == (405 if method == "TRACE" else 404)


@pytest.mark.parametrize("method", [method for method in METHODS if method not in ("GET", "TRACE")])
def test_sub_takes_get_and_options_alone(
    gateway: Gateway, log: LogWriter, channel: str, method: str
) -> None:
    answer = ask(gateway, method, f"/sub/{channel}", {"Content-Length": "0"})
    assert answer.status == (204 if method == "OPTIONS" else 405)
    assert answer.headers["allow"] == "GET, OPTIONS"


def test_no_public_request_publishes(
    gateway: Gateway, subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    subscriber = subscribe(channel)
    before = log.now()
    for method in METHODS:
        for target in (f"/sub/{channel}", f"/pub?id={channel}", f"/frames?id={channel}"):
            if (method, target) != ("GET", f"/sub/{channel}"):
                ask(gateway, method, target, {"Content-Length": "0", "Event-Id": "1"})
    assert log.now() == before
    log.append(channel, n=1)
    subscriber.wait_for(1)
    assert subscriber.numbers() == [1]
