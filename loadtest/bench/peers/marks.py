"""The marks that a peer's jobs leave in Redis as they come by."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import redis

FIRST, LAST = "bench:first", "bench:last"
GO_ON = "bench:go_on"
"""A list that whoever measures puts something on when it has noted where the first mark stands."""

_GO_ON_SECONDS = 30


def redis_url() -> str:
    """Return where the benchmark's Redis is."""
    return os.environ["PUSHGATE_REDIS_URL"]


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(redis_url(), socket_timeout=2 * _GO_ON_SECONDS)


def leave(mark: str) -> None:
    """Say that the jobs before this one are done; wait at the first mark to be told to go on."""
    _client().set(mark, 1)
    if mark == FIRST:
        _client().blpop([GO_ON], timeout=_GO_ON_SECONDS)


def among_marks(
    idle: Callable[[int], object], mark: Callable[[str], object], first: int, jobs: int
) -> None:
    """Put jobs on a peer's queue, with the two marks among them.

    Args:
        idle: puts so many jobs that do nothing.
        mark: puts a job that leaves this mark.
        first: how many come before the first mark.
        jobs: how many come between the two.
    """
    idle(first)
    mark(FIRST)
    idle(jobs - 1)
    mark(LAST)
