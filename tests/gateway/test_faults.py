"""Every part killed, reloaded or away while frames flow: late perhaps, but complete and once."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber
from tests.gateway.crowd import Crowd

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pids: Iterable[int]) -> None:
    wait_until(
        lambda: not [pid for pid in pids if is_alive(pid)], DEADLINE_SECONDS, f"{pids} are gone"
    )


def test_workers_killed_one_after_the_other_cost_no_frame(own_gateway: OwnGateway) -> None:
    """One of the two is the tail; the other one's subscribers stay connected."""
    crowd = Crowd(own_gateway, 41, size=12, batch=8, pause_seconds=0.005, pollers=4)
    crowd.start()
    for _ in range(2):
        for pid in own_gateway.gateway.worker_pids:
            crowd.wait_for_frames(500)
            os.kill(pid, signal.SIGKILL)
            wait_until_gone({pid})
            crowd.wait_for_frames(500)
            own_gateway.log.wait_until_followed_past(own_gateway.log.now())
    crowd.finish()


def test_subscribers_that_stay_get_each_frame_once_when_the_tail_changes_hands(
    own_gateway: OwnGateway,
) -> None:
    crowd = Crowd(own_gateway, 43, size=12, batch=8, pause_seconds=0.005, stays=True)
    crowd.start()
    for pid in own_gateway.gateway.worker_pids:
        crowd.wait_for_frames(300)
        os.kill(pid, signal.SIGKILL)
        own_gateway.log.wait_until_followed_past(own_gateway.log.now())
    crowd.finish()


@pytest.mark.parametrize("stays", [False, True])
def test_reloads_cost_no_frame_and_leave_no_old_worker(
    own_gateway: OwnGateway, stays: bool
) -> None:
    gateway = own_gateway.gateway
    crowd = Crowd(own_gateway, 47, size=12, batch=8, pause_seconds=0.005, stays=stays, pollers=4)
    crowd.start()
    for _ in range(3):
        before = set(gateway.worker_pids)
        crowd.wait_for_frames(300)
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until_gone(before)
        own_gateway.log.wait_until_followed_past(own_gateway.log.now())
    crowd.finish()
    assert "alert" not in gateway.log.read_text(encoding="utf-8")


def test_a_killed_master_leaves_no_worker_and_can_be_started_again(
    own_gateway: OwnGateway,
) -> None:
    gateway = own_gateway.gateway
    crowd = Crowd(own_gateway, 53, size=8, batch=8, pause_seconds=0.005, pollers=4)
    crowd.start()
    workers = gateway.worker_pids
    gateway.kill()
    wait_until_gone(workers)
    crowd.wait_for_frames(500)
    gateway.start()
    crowd.wait_for_frames(500)
    crowd.finish()


def test_a_redis_away_and_back_costs_latency_alone(own_gateway: OwnGateway) -> None:
    log, server = own_gateway.log, own_gateway.redis_server
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    before = log.append("thread:1", n=0)
    cursor = log.append("thread:1", n=1)
    subscriber.wait_for(2)
    log.wait_until_followed()
    log.wait_until_on_disk()
    server.kill()
    wait_until(
        lambda: own_gateway.gateway.private("GET", "/readyz").status == 503,
        DEADLINE_SECONDS,
        "the gateway says that it is not ready",
    )
    assert b"not followed" in own_gateway.gateway.private("GET", "/readyz").body
    assert own_gateway.gateway.private("GET", "/healthz").status == 200

    # Who brings no cursor, or the newest, needs no Redis.
    newcomer = Subscriber(own_gateway.client("thread:1")).connect()
    assert newcomer.client.last_event_id == cursor
    newest = Subscriber(own_gateway.client("thread:1", cursor)).connect()
    assert newest.client.last_event_id == cursor
    # Who brings an older one is asked to come back, in a way that EventSource understands.
    resuming = Subscriber(own_gateway.client("thread:1", before))
    resuming.connect()
    resuming.wait_until_ended()
    assert [event.type for event in resuming.events] == ["error"]
    assert 5000 <= (resuming.client.parser.retry_ms or 0) <= 15000
    assert resuming.client.last_event_id == before
    # /pub says so.
    assert own_gateway.gateway.private("POST", "/pub?id=thread:1", "{}").status == 503

    server.start()
    own_gateway.gateway.wait_until_ready()
    log.append("thread:1", n=2)
    subscriber.wait_for(3)
    newcomer.wait_for(1)
    newest.wait_for(1)
    resuming.events.clear()
    resuming.connect().wait_for(2)
    assert subscriber.numbers() == [0, 1, 2]
    assert (newcomer.numbers(), newest.numbers(), resuming.numbers()) == ([2], [2], [1, 2])
    for each in (subscriber, newcomer, newest, resuming):
        each.client.close()


def test_the_first_frame_of_all_ends_no_stream_though_nobody_followed_the_log(
    own_gateway: OwnGateway,
) -> None:
    """Until then the log's oldest entry lies behind the place where the tail is."""
    log = own_gateway.log
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    workers = own_gateway.gateway.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    own_gateway.redis_server.kill()
    own_gateway.redis_server.start()
    log.append("thread:1", n=1)
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    subscriber.wait_for(1)
    assert subscriber.client.connected
    assert subscriber.numbers() == [1]
    subscriber.client.close()


def test_a_gateway_started_before_redis_is_ready_when_redis_is(own_gateway: OwnGateway) -> None:
    gateway = own_gateway.gateway
    gateway.stop()
    own_gateway.redis_server.stop()
    gateway.launch()
    wait_until(
        lambda: gateway.private_socket.exists() and gateway.private("GET", "/readyz").status == 503,
        DEADLINE_SECONDS,
        "the gateway answers and is not ready",
    )
    early = Subscriber(own_gateway.client("thread:1"))
    early.connect()
    early.wait_until_ended()
    assert [event.type for event in early.events] == ["error"]
    own_gateway.redis_server.start()
    gateway.wait_until_ready()
    late = Subscriber(own_gateway.client("thread:1")).connect()
    own_gateway.log.append("thread:1", n=1)
    late.wait_for(1)
    late.client.close()


def test_stopping_leaves_no_process_and_no_socket_that_hinders(own_gateway: OwnGateway) -> None:
    gateway = own_gateway.gateway
    workers = gateway.worker_pids
    subscriber = Subscriber(own_gateway.client("thread:1")).connect()
    gateway.stop()
    assert not [pid for pid in workers if is_alive(pid)]
    gateway.start()
    subscriber.client.close()
