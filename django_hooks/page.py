"""From a page to its stream without a gap."""

from __future__ import annotations

import logging
import time

import redis

from django_hooks import connections

logger = logging.getLogger(__name__)

# After Redis could not be reached, pages do without their cursor for this long before one tries
# again: a Redis that does not answer must not make every page late.
PAUSE_SECONDS = 2.0


class PageCursors:
    """Hands out cursors, and none while Redis cannot be reached."""

    def __init__(self) -> None:
        self._redis = connections.Reachability(logger, "Redis")
        self._resume_at = 0.0

    def take(self) -> str:
        """Return the log's position now, or "" when Redis does not say."""
        if time.monotonic() < self._resume_at:
            return ""
        try:
            cursor = str(connections.log().cursor())
        except redis.RedisError as error:
            self._resume_at = time.monotonic() + PAUSE_SECONDS
            self._redis.lost(error, "pages are rendered without a cursor")
            return ""
        self._redis.found()
        return cursor


def page_cursor() -> str:
    """Return where a page's stream must begin. Call it BEFORE the page's queries.

    What is committed after the call comes by the stream, what was committed before is in the
    query's result, and what is in both, the page recognises by object and version. While Redis is
    down the cursor is "": the page is whole but does not know where its stream begins, and
    `live.js` has it read its data anew once it is connected.
    """
    return _cursors.take()


_cursors = PageCursors()
