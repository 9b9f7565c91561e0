"""The one way Pushgate opens Redis: with a deadline on everything."""

from __future__ import annotations

import redis

from pushgate.errors import InvalidSetting

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""How long an answer may take. A blocking read must ask for less than this."""

LONGEST_BLOCK_SECONDS = 2.0


def connect(
    url: str, *, connect_seconds: float = CONNECT_SECONDS, answer_seconds: float = ANSWER_SECONDS
) -> redis.Redis:
    """A client for the Redis at `url`; it connects at the first command. Answers are bytes.

    Commands are not repeated by the client: whoever calls knows whether a repeat is harmless.

    Raises:
        InvalidSetting: the URL is not one of Redis'.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=connect_seconds,
            socket_timeout=answer_seconds,
            health_check_interval=15,
            retry=None,
            retry_on_timeout=False,
        )
    except ValueError as error:
        raise InvalidSetting(f"PUSHGATE_REDIS_URL {url!r}: {error}") from None
