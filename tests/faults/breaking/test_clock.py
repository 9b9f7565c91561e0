"""Each part's clock can be stepped while it runs, and what Redis and the gateway make of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from pushgate.keys import Keys
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.faults.breaking.clock import Clocks
from tests.faults.breaking.disk import SlowDisks
from tests.faults.breaking.preload import together

DEADLINE_SECONDS = 20.0
# Steps are far longer than a test may take.
HOUR = 3600.0

_TELL_TIMES = (
    "import time\nwhile input() == 'go': print(time.time(), time.monotonic(), flush=True)\n"
)


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Clocks:
    return Clocks(tmp_path_factory.mktemp("clocks"))


def is_ahead(of: float, seconds: float) -> bool:
    """Whether a time is that of a clock which is so far ahead of ours, by a minute or so."""
    return abs(of - time.time() - seconds) < HOUR / 10


def test_a_python_process_sees_each_step_at_once_and_its_monotonic_clock_goes_on(
    clocks: Clocks,
) -> None:
    command = (sys.executable, "-c", _TELL_TIMES)
    environment = {**os.environ, **clocks.environment("python")}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None

        def times() -> tuple[float, float]:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write("go\n")
            child.stdin.flush()
            wall, monotonic = child.stdout.readline().split()
            return float(wall), float(monotonic)

        try:
            for step, ahead in ((0, 0), (HOUR, HOUR), (-2 * HOUR, -HOUR), (0.5 * HOUR, -HOUR / 2)):
                clocks.step("python", step)
                wall, monotonic = times()
                assert is_ahead(wall, ahead)
                assert clocks.offset_seconds("python") == ahead
                assert abs(monotonic - time.monotonic()) < HOUR / 10
            clocks.reset("python")
            assert is_ahead(times()[0], 0)
        finally:
            child.stdin.write("end\n")


def test_parts_have_clocks_of_their_own(clocks: Clocks) -> None:
    for part in ("site", "formatter"):
        clocks.environment(part)
    clocks.step("site", HOUR)
    assert clocks.offset_seconds("formatter") == 0


@pytest.fixture
def stepped_redis(clocks: Clocks, tmp_path: Path) -> Iterator[RedisServer]:
    platform = Platform.find()
    # Beside the other library, as a run has it.
    slow_disks = SlowDisks(tmp_path / "disks").environment("redis")
    environment = together(clocks.environment("redis"), slow_disks)
    settings = (f"{name}={value}" for name, value in environment.items())
    server = RedisServer(
        platform,
        tmp_path / "r",
        free_port(),
        server_command=("env", *settings, *platform.redis_server_command),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_redis_forgets_early_what_expires_and_late_when_its_clock_is_put_back(
    clocks: Clocks, stepped_redis: RedisServer
) -> None:
    with redis.Redis.from_url(stepped_redis.url) as client:
        client.set("lease", "mine", px=600_000)
        clocks.step("redis", -HOUR)
        assert is_ahead(client.time()[0], -HOUR)
        assert client.pttl("lease") > HOUR * 1000
        clocks.step("redis", 2 * HOUR)
        assert is_ahead(client.time()[0], HOUR)
        assert client.get("lease") is None


def test_ids_in_a_stream_grow_though_the_clock_of_redis_is_put_back(
    clocks: Clocks, stepped_redis: RedisServer
) -> None:
    with redis.Redis.from_url(stepped_redis.url) as client:
        ids = []
        for step in (0, HOUR, -2 * HOUR, HOUR):
            clocks.step("redis", step)
            ids.append(client.xadd("log", {"n": step}).decode())
        assert ids == [entry.decode() for entry, _ in client.xrange("log")]
        assert ids[2].partition("-")[0] == ids[1].partition("-")[0]


@pytest.fixture
def stepped_gateway(
    clocks: Clocks, redis_server: RedisServer, keys: Keys, redis_namespace: str, tmp_path: Path
) -> Iterator[Gateway]:
    gateway = Gateway(
        Platform.find(),
        tmp_path / "g",
        GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=redis_server.url,
            namespace=redis_namespace,
            workers="1",
            more=clocks.environment("gateway"),
        ),
    )
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


def test_the_gateways_workers_see_a_step_those_of_a_reload_too_and_it_follows_on(
    clocks: Clocks, stepped_gateway: Gateway, redis_client: redis.Redis, keys: Keys
) -> None:
    gateway = stepped_gateway
    shown: list[float] = []

    def told_time() -> float:
        date = gateway.private("GET", "/healthz").headers["Date"]
        return parsedate_to_datetime(date).timestamp()

    def follow_on() -> None:
        published = gateway.private("POST", "/pub?id=thread:1", b'{"text":"hello"}')
        assert published.status == 200
        wait_until(
            lambda: gateway.private("GET", "/readyz").body.endswith(log_end()),
            DEADLINE_SECONDS,
            "the gateway has handed over what was published",
        )

    def log_end() -> bytes:
        last: Any = redis_client.xrevrange(keys.log, count=1)
        return bytes(last[0][0]) + b"\n"

    for step, ahead in ((HOUR, HOUR), (-2 * HOUR, -HOUR)):
        clocks.step("gateway", step)
        shown.append(ahead)
        # nginx looks at the clock once a turn of its loop.
        wait_until(lambda: is_ahead(told_time(), shown[-1]), DEADLINE_SECONDS, "it is seen")
        follow_on()
    before = set(gateway.worker_pids)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until(
        lambda: gateway.worker_pids and before.isdisjoint(gateway.worker_pids),
        DEADLINE_SECONDS,
        "other workers run",
    )
    assert is_ahead(told_time(), -HOUR)
    follow_on()


def test_a_gateway_whose_clock_is_put_back_still_notices_that_redis_lost_the_log(
    clocks: Clocks, stepped_gateway: Gateway, redis_client: redis.Redis, keys: Keys
) -> None:
    def told_epoch() -> bytes:
        return stepped_gateway.private("GET", "/readyz").body.partition(b".")[0]

    for _ in range(3):
        stepped_gateway.private("POST", "/pub?id=thread:1", b'{"text":"hello"}')
    before = told_epoch()
    clocks.step("gateway", -HOUR)
    redis_client.delete(keys.log)
    wait_until(lambda: told_epoch() != before, DEADLINE_SECONDS, "the gateway is in a new epoch")
