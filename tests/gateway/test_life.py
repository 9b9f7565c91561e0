"""Reloads one after the other and one into the other, a stopped worker, a planned stop: each
subscriber gets each frame once, nothing crashes, and nothing is left behind.

PUSHGATE_TEST_RELOADS=1000 reloads a thousand times instead of a few dozen.
"""

import os
import random
import re
import signal
from contextlib import suppress

import pytest

from stack.errors import DeadlineMissed
from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd
from tests.gateway.test_faults import wait_until_gone

RELOADS = int(os.environ.get("PUSHGATE_TEST_RELOADS", "24"))
SEED = 71

pytestmark = [
    pytest.mark.real_redis,
    pytest.mark.real_gateway,
    pytest.mark.timeout(180 + 3 * RELOADS),
]


def trouble_in(gateway: Gateway) -> list[str]:
    """Lines of the log that a crash or a disorder would have left.

    One is known and harmless: a reload that follows within milliseconds has the module close its
    channel to a worker once more, by the number -1.
    """
    text = gateway.log.read_text(encoding="utf-8")
    lines = re.findall(r".*(?:\[alert\]|\[crit\]|\[emerg\]|exited on signal|core dumped).*", text)
    return [line for line in lines if "close() channel failed (9: Bad file" not in line]


def test_reloads_into_reloads_cost_no_frame_and_no_crash(own_gateway: OwnGateway) -> None:
    print(f"seed {SEED}, {RELOADS} reloads")
    chance = random.Random(SEED)
    gateway = own_gateway.gateway
    crowd = Crowd(
        own_gateway, SEED, size=12, batch=8, pause_seconds=0.02, patience=90 + 2 * RELOADS
    )
    crowd.start()
    for _ in range(RELOADS // 4):
        # Four at once, the last three into workers that have hardly begun or are still ending.
        for _ in range(4):
            os.kill(gateway.pid, signal.SIGHUP)
            crowd.wait_for_frames(chance.randint(1, 60))
        own_gateway.log.wait_until_followed_past(own_gateway.log.now())
    crowd.finish()
    wait_until(lambda: len(gateway.worker_pids) == 2, DEADLINE_SECONDS, "old workers have ended")
    assert not trouble_in(gateway)
    print(f"{sum(wanderer.connects for wanderer in crowd.wanderers)} connects")


@pytest.mark.parametrize("is_at_once", [False, True])
def test_a_worker_that_was_killed_while_it_ended_costs_no_other(
    own_gateway: OwnGateway, is_at_once: bool
) -> None:
    """The engine kept its place, and the next reload's worker of that place could not start; also
    when the reload comes before a worker has looked."""
    gateway = own_gateway.gateway
    old = gateway.worker_pids
    os.kill(old[0], signal.SIGSTOP)
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until_gone(old[1:])
    os.kill(old[0], signal.SIGKILL)
    wait_until_gone(old)
    if not is_at_once:
        wait_until(
            lambda: f"place of worker {old[0]}" in gateway.log.read_text(encoding="utf-8"),
            DEADLINE_SECONDS,
            "its place is free",
        )
    new = gateway.worker_pids
    os.kill(gateway.pid, signal.SIGHUP)
    wait_until_gone(new)
    assert len(gateway.worker_pids) == 2
    assert "cannot be respawned" not in gateway.log.read_text(encoding="utf-8")
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    own_gateway.log.append("thread:1")
    subscriber.wait_for(1)
    subscriber.client.close()


def test_a_reload_while_a_dead_worker_s_successor_begins_crashes_nobody(
    own_gateway: OwnGateway,
) -> None:
    """Of four such successors one used to take over what the dead one had left in memory."""
    gateway = own_gateway.gateway
    crowd = Crowd(own_gateway, SEED, size=12, batch=8, pause_seconds=0.005, patience=180)
    crowd.start()
    for _ in range(12):
        crowd.wait_for_frames(50)
        before = set(gateway.worker_pids)
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: any(pid not in before for pid in gateway.worker_pids),  # noqa: B023
            DEADLINE_SECONDS,
            "its successor begins",
            every_seconds=0.001,
        )
        # The successor takes a while to begin.
        replaced = [*before, *gateway.worker_pids]
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until_gone(replaced)
        wait_until(lambda: len(gateway.worker_pids) == 2, DEADLINE_SECONDS, "there are two workers")
    crowd.finish()
    text = gateway.log.read_text(encoding="utf-8")
    assert "exited on signal 11" not in text
    assert "cannot be respawned" not in text


def stop_between_two_steps(own: OwnGateway, pid: int) -> None:
    """Stops a worker, and returns when the gateway goes on without it.

    One that is stopped while it holds a lock of the memory all workers share holds up all of them,
    which is nginx' nature. Then it goes on and is stopped again.
    """
    for _ in range(4):
        os.kill(pid, signal.SIGSTOP)
        with suppress(DeadlineMissed, TimeoutError):
            own.log.wait_until_followed_past(own.log.now())
            return
        os.kill(pid, signal.SIGCONT)
    pytest.fail("the gateway does not go on without one of its workers")


def test_a_worker_stopped_for_longer_than_its_lease_does_no_harm(
    own_gateway: OwnGateway,
) -> None:
    """One of the two is the tail, which is replaced and does not know it when it wakes."""
    crowd = Crowd(own_gateway, SEED, size=12, batch=8, pause_seconds=0.005, stays=True)
    crowd.start()
    for pid in own_gateway.gateway.worker_pids:
        stop_between_two_steps(own_gateway, pid)
        crowd.wait_for_frames(500)
        os.kill(pid, signal.SIGCONT)
        crowd.wait_for_frames(200)
    crowd.finish()
    assert not trouble_in(own_gateway.gateway)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_ends_all_streams_and_leaves_nothing(
    own_gateway: OwnGateway, how: signal.Signals
) -> None:
    gateway, log = own_gateway.gateway, own_gateway.log
    subscribers = [Subscriber(own_gateway.client("thread:1")).connect() for _ in range(8)]
    log.append("thread:1", n=1)
    for subscriber in subscribers:
        subscriber.wait_for(1)
    master, workers = gateway.pid, gateway.worker_pids
    os.kill(master, how)
    for subscriber in subscribers:
        subscriber.wait_until_ended()
        assert subscriber.client.parser.retry_ms
    wait_until_gone([master, *workers])
    assert gateway.stop() == 0
    assert not trouble_in(gateway)
    log.append("thread:1", n=2)
    gateway.start()
    for subscriber in subscribers:
        subscriber.connect().wait_for(2)
        assert subscriber.numbers() == [1, 2]
        subscriber.client.close()
