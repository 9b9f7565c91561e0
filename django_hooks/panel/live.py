"""How an open panel stays live, through the gateway itself.

The channel `pushgate:panel` carries no figures: only "look again", after which the page asks the
site, which knows who may look. So the channel may be public where the gateway checks no tokens.

Who says it: an operator's action, at once; and the process of the leading relay, at most once a
second, only while somebody looks, and only when something changed. Where neither is heard the page
asks by itself every few seconds.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

import redis

from django_hooks import connections
from pushgate import Control, Event, Keys, Ledger, publish_straight

logger = logging.getLogger(__name__)

CHANNEL = "pushgate:panel"
TYPE = "pushgate.look"
BEAT_SECONDS = 1.0


def look_again(client: redis.Redis, keys: Keys) -> None:
    """Tell every open panel to look again."""
    publish_straight(client, keys, Event(TYPE, (CHANNEL,), {}))


class Beat:
    """Tells open panels when something has changed.

    Args:
        client: of Redis.
        keys: of the namespace.
        partitions: the same number as in every part.
        owner: the relay beside which this runs; it is silent unless that relay leads.
    """

    def __init__(self, client: redis.Redis, keys: Keys, partitions: int, owner: str) -> None:
        self._client = client
        self._keys = keys
        self._control = Control(client, keys, partitions)
        self._owner = owner
        self._told: object = None
        self._redis = connections.Reachability(logger, "Redis")

    def run(self, stop: threading.Event) -> None:
        """Beat until `stop` is set."""
        while not stop.wait(BEAT_SECONDS):
            try:
                self.turn()
                self._redis.found()
            except redis.RedisError as error:
                self._redis.lost(error, "open control panels are not told")

    def turn(self) -> bool:
        """Tell the panels, if there is anything to tell; return whether there was.

        Raises:
            RedisError: Redis did not answer.
        """
        if not self._control.is_watched() or self._control.relay_holder() != self._owner:
            self._told = None
            return False
        ledger, rest = self._control.ledger(), self._state()
        if (ledger, rest) == self._told:
            return False
        look_again(self._client, self._keys)
        # What we say is an event itself, and not one worth telling of.
        self._told = (_with_one_more(ledger), rest)
        return True

    def _state(self) -> object:
        return (
            self._control.count_dead_letters(),
            self._control.relay_marks(),
            [(state.jobs, state.holder, state.paused) for state in self._control.partitions()],
        )


def _with_one_more(ledger: Ledger) -> Ledger:
    return replace(
        ledger,
        straight=ledger.straight + 1,
        published=ledger.published + 1,
        frames=ledger.frames + 1,
    )
