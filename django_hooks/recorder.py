"""Writes down what happened: one outbox row per event, or none and straight to the queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import redis
from django.db import connections as database_connections
from django.db import transaction
from django.db.models import Model

from django_hooks import connections, wake
from django_hooks.outbox_writer import write_events
from django_hooks.registry import Action, ModelHook
from django_hooks.settings import hooks_settings
from pushgate import Event, InvalidChannel, InvalidEvent, PushgateError
from pushgate.event import new_event_json

logger = logging.getLogger(__name__)


def event_of(
    hook: ModelHook[Any], instance: Model, action: Action, added_data: Mapping[str, Any] = {}
) -> str | None:
    """Return the event that the hook makes of `action`, which happened to `instance`, as JSON.

    None when nothing is told.

    Args:
        hook: the hook.
        instance: an instance of its model.
        action: one of `hook.actions`; of another nothing is told.
        added_data: what stands in the event beside the hook's own data.

    Raises:
        InvalidEvent: what the hook made of it is no event; the sentence names hook and object.
        InvalidChannel: a channel's name breaks its rule.
    """
    if action not in hook.actions:
        return None
    channels = hook.channels(instance, action)
    if not channels:
        return None
    data = hook.data(instance, action)
    try:
        return new_event_json(
            hook.type(instance, action),
            channels,
            {**data, **added_data} if added_data else data,
            key=hook.key(instance, action),
            object=hook.object(instance),
            correlation_id=hook.correlation_id(),
            traceparent=hook.traceparent(),
            flags=hook.flags(instance, action),
        )
    except (InvalidEvent, InvalidChannel) as error:
        made_by = f"{type(hook).__module__}.{type(hook).__qualname__}"
        raise type(error)(f"{made_by}, {hook.object(instance)} {action}: {error}") from error


def record(events: Sequence[str], using: str) -> None:
    """Record events (their JSON), in order, in the transaction open on the database `using`."""
    if not events:
        return
    held = _held_deletions.get()
    if held is not None:
        held.record()
    _record_now(events, using)


def record_deletions(events: Sequence[str], using: str) -> None:
    """Record events, perhaps together with others at the end of `deletions_together`."""
    held = _held_deletions.get()
    if held is not None and held.using == using:
        held.events += events
    else:
        record(events, using)


@contextmanager
def deletions_together(using: str) -> Iterator[None]:
    """Record all that is deleted within the block at its end, by one statement for many.

    The block must be within a transaction that an exception undoes as a whole.
    """
    held = _HeldDeletions(using)
    token = _held_deletions.set(held)
    try:
        yield
    finally:
        _held_deletions.reset(token)
    held.record()


class _HeldDeletions:
    def __init__(self, using: str) -> None:
        self.using = using
        self.events: list[str] = []

    def record(self) -> None:
        """Record what was held. What comes after it, of the same object say, stays after it."""
        events, self.events = self.events, []
        if events:
            _record_now(events, self.using)


_held_deletions: ContextVar[_HeldDeletions | None] = ContextVar(
    "django_hooks_deletions", default=None
)


def _record_now(events: Sequence[str], using: str) -> None:
    if hooks_settings().mode == "outbox":
        connection = database_connections[using]
        write_events(events, connection)
        wake.nudge_at_commit(connection)
        return
    for event in events:
        # The row's lock is held: of two writers to one object the later has the later time.
        counted = Event.from_json(event).with_version(time.time_ns() // 1000)
        transaction.on_commit(partial(_put, counted), using=using)


def _put(event: Event) -> None:
    try:
        connections.job_queue().put(event)
    except (redis.RedisError, PushgateError) as error:
        logger.error("event %s (%s) is lost: %s", event.id, event.type, error)
