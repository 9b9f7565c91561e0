"""Writes down what happened: one outbox row per event, or none and straight to the queue."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import Any

import redis
from django.db import transaction
from django.db.models import Model

from django_hooks import connections, wake
from django_hooks.models import OutboxRow
from django_hooks.registry import Action, ModelHook
from django_hooks.settings import hooks_settings
from pushgate import Event, PushgateError

logger = logging.getLogger(__name__)


def record(hook: ModelHook[Any], instance: Model, action: Action, using: str) -> None:
    """Record that `action` happened to `instance`, in the transaction open on `using`.

    Raises:
        InvalidEvent: what the hook made of it is no event.
        InvalidChannel: a channel's name breaks its rule.
    """
    if action not in hook.actions:
        return
    channels = tuple(hook.channels(instance, action))
    if not channels:
        return
    event = Event(
        type=hook.type(instance, action),
        channels=channels,
        data=hook.data(instance, action),
        key=hook.key(instance, action),
        object=hook.object(instance),
    )
    if hooks_settings().mode == "outbox":
        write_to_outbox(event, using)
    else:
        # The row's lock is held: of two writers to one object the later has the later time.
        counted = event.with_version(time.time_ns() // 1000)
        transaction.on_commit(partial(_put, counted), using=using)


def write_to_outbox(event: Event, using: str) -> None:
    """Write the event's outbox row (one INSERT) and have the relay woken when it is committed."""
    OutboxRow.objects.using(using).create(event=event.to_json().decode())
    transaction.on_commit(wake.nudge, using=using, robust=True)


def _put(event: Event) -> None:
    try:
        connections.job_queue().put(event)
    except (redis.RedisError, PushgateError) as error:
        logger.error("event %s (%s) is lost: %s", event.id, event.type, error)
