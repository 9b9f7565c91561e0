"""The cursor may stand in the query, for whoever cannot send a header; the header wins."""

import pytest

from tests.gateway.conftest import (
    LogWriter,
    Subscribe,
)

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def test_the_cursor_may_come_in_the_query(
    subscribe: Subscribe, log: LogWriter, channel: str
) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, query=f"?last_event_id={cursors[1]}")
    subscriber.wait_for(3)
    assert subscriber.numbers() == [2, 3, 4]


def test_the_header_wins_over_the_query(subscribe: Subscribe, log: LogWriter, channel: str) -> None:
    cursors = [log.append(channel, n=n) for n in range(5)]
    subscriber = subscribe(channel, cursor=cursors[3], query=f"?last_event_id={cursors[0]}")
    subscriber.wait_for(1)
    assert subscriber.numbers() == [4]
