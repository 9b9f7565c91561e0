"""What the kernel does for the gateway's sockets."""

import ctypes
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.gateway import Gateway
from stack.process import wait_until
from tests.gateway.conftest import DEADLINE_SECONDS, OwnGateway, Subscriber

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

PIDFD_GETFD = 438


def sockets_of(pid: int, port: int) -> Iterator[socket.socket]:
    """Copies of a process' connections that came in by a port."""
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    process = os.pidfd_open(pid)
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if not os.readlink(link).startswith("socket:"):
                continue
            copied = system_call(PIDFD_GETFD, process, int(link.name), 0)
            if copied < 0:
                error = ctypes.get_errno()
                pytest.fail(f"cannot look at a socket of {pid}: {os.strerror(error)}")
            with socket.socket(fileno=copied) as copy:
                if (
                    copy.family == socket.AF_INET
                    and copy.getsockname()[1] == port
                    and not copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                ):
                    yield copy
    finally:
        os.close(process)


def wait_until_gone(gateway: Gateway, workers: set[int]) -> None:
    wait_until(
        lambda: not workers & set(gateway.worker_pids), DEADLINE_SECONDS, "the old workers are gone"
    )


def test_a_frame_does_not_wait_for_the_clients_word_on_the_one_before(
    own_gateway: OwnGateway,
) -> None:
    gateway = own_gateway.gateway
    port = int(gateway.settings.listen.rpartition(":")[2])
    for _ in range(2):
        subscriber = Subscriber(own_gateway.client("thread:1")).connect()
        found = [
            one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for pid in gateway.worker_pids
            for one in sockets_of(pid, port)
        ]
        assert found == [1]
        subscriber.client.close()
        # Workers that came with a reload do the same.
        before = set(gateway.worker_pids)
        os.kill(gateway.pid, signal.SIGHUP)
        wait_until_gone(gateway, before)
