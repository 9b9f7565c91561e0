"""A history that is no history costs its channel a reset, and nothing else."""

from __future__ import annotations

import pytest

from pushgate import Cursor
from pushgate.log import ResetReason
from tests.queue.conftest import QueueUnderTest
from tests.queue.test_log import publish

pytestmark = pytest.mark.real_redis


@pytest.mark.parametrize("is_ahead", [True, False])
def test_a_history_that_takes_no_frame_is_begun_anew(
    on_a_server: QueueUnderTest, is_ahead: bool
) -> None:
    client, keys, log = on_a_server.client, on_a_server.keys, on_a_server.log
    assert client is not None
    assert keys is not None
    publish(on_a_server, 1)
    before = log.cursor()
    # Behind the cursor, so that the history lacks something however soon the next frame comes.
    publish(on_a_server, 1)
    key = keys.channel("thread:1")
    if is_ahead:
        client.xadd(key, {"channels": "thread:1", "frame": "x"}, id=f"{before.ms + 10**7}-0")
    else:
        client.delete(key)
        client.rpush(key, "garbage")
    publish(on_a_server, 1)
    first = log.cursor()
    publish(on_a_server, 1)
    assert log.history("thread:1", before).reset is ResetReason.HISTORY
    (entry,) = log.history("thread:1", first).entries
    assert entry == log.after(first.entry_id, 1)[0]
    just_before = log.after("0-0", 10)[-2]
    assert Cursor.of_entry(first.epoch, just_before.entry_id) == first
    assert on_a_server.ledger().published == 4
    assert on_a_server.ledger().balances
