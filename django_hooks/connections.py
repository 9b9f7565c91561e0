"""This process's clients of Redis, opened at first use."""

from __future__ import annotations

import logging
from functools import cache

import redis

from django_hooks.settings import HooksSettings, hooks_settings
from pushgate import Control, Keys, RedisJobQueue, RedisLog, connect

# A visitor waits for these: rather a page without its cursor than a page that is late.
CONNECT_SECONDS = 0.25
ANSWER_SECONDS = 0.5


class Reachability:
    """Logs when something becomes unreachable and when it is back, and not every try between.

    Args:
        logger: where to.
        what: its name in the log line.
    """

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self.reachable = True

    def lost(self, error: Exception, consequence: str) -> None:
        """Note a failed try."""
        if self.reachable:
            self.reachable = False
            self._logger.error(
                "%s cannot be reached, %s: %s", self._what, consequence, one_line(error)
            )

    def found(self) -> None:
        """Note a try that went well."""
        if not self.reachable:
            self.reachable = True
            self._logger.warning("%s is back", self._what)


def one_line(error: Exception) -> str:
    """Return an error as one line of a log."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def client() -> redis.Redis:
    """Return the client that serves requests: it gives up early."""
    return _client(hooks_settings().redis_url)


def keys() -> Keys:
    """Return the names of Pushgate's keys."""
    return Keys(hooks_settings().namespace)


def job_queue() -> RedisJobQueue:
    """Return the job queue, for events that skip the outbox."""
    return _job_queue(hooks_settings())


def log() -> RedisLog:
    """Return the log, for the cursors of pages."""
    return _log(hooks_settings())


def control() -> Control:
    """Return the operator's view of the queue."""
    return _control(hooks_settings())


@cache
def _client(url: str) -> redis.Redis:
    return connect(url, connect_seconds=CONNECT_SECONDS, answer_seconds=ANSWER_SECONDS)


@cache
def _job_queue(settings: HooksSettings) -> RedisJobQueue:
    return RedisJobQueue(
        _client(settings.redis_url), Keys(settings.namespace), partitions=settings.partitions
    )


@cache
def _log(settings: HooksSettings) -> RedisLog:
    return RedisLog(_client(settings.redis_url), Keys(settings.namespace))


@cache
def _control(settings: HooksSettings) -> Control:
    return Control(_client(settings.redis_url), Keys(settings.namespace), settings.partitions)
