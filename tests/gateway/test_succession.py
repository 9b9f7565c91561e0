"""The tail's successor: it waits for nobody who is dead."""

import os
import signal

import pytest

from tests.gateway.conftest import OwnGateway, Subscriber
from tests.gateway.test_faults import wait_until_gone
from tests.gateway.test_ledger import ledger_at_rest
from tests.gateway.thieves import gateway_with

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway, pytest.mark.timeout(180)]


def test_a_dead_tail_is_replaced_at_once(own_gateway: OwnGateway) -> None:
    """Its lease would last for an hour."""
    old, new = "LEASE_SECONDS = 3", "LEASE_SECONDS = 3600"
    with gateway_with(own_gateway, "tail_lease.lua", old, new) as patient:
        sent = 0
        subscriber = Subscriber(patient.client("thread:1")).connect()
        # Each of the two in turn, twice: one of them is the tail.
        for _ in range(2):
            for pid in patient.gateway.worker_pids:
                os.kill(pid, signal.SIGKILL)
                wait_until_gone([pid])
                sent += 1
                patient.log.append("thread:1", n=sent)
                while len(subscriber.events) < sent:
                    if not subscriber.client.connected:
                        subscriber.connect()
                    subscriber.events += subscriber.client.events(1)
        assert subscriber.numbers() == list(range(1, sent + 1))
        subscriber.client.close()
        books = ledger_at_rest(patient.gateway)
        assert books["balances"], books
        assert books["log"]["handed_over"] == sent
