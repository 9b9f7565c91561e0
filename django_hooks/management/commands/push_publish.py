"""`manage.py push_publish comment.created thread:1 --data '{"id": 1}'`: one event by hand."""

from __future__ import annotations

import json
import sys
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_hooks.settings import hooks_settings
from pushgate import (
    Event,
    InvalidChannel,
    InvalidEvent,
    Keys,
    QueueFull,
    RedisJobQueue,
    connect,
)
from pushgate.connection import away
from pushgate.event import new_event_id
from pushgate.job_queue import partition_of


class Command(BaseCommand):
    """Publishes one event: straight onto the queue, without an outbox."""

    help = "Puts one event on the job queue; formatter and gateway do the rest."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the event's fields."""
        parser.add_argument("type", help="what happened: comment.created")
        parser.add_argument("channels", nargs="+", metavar="channel", help="who is told: thread:1")
        parser.add_argument(
            "--data", default="{}", help="a JSON object (default {}); - reads it from the input"
        )
        parser.add_argument("--key", default="", help="ordering key (default: the first channel)")
        parser.add_argument("--object", default="", help="what it happened to: threads.comment:17")
        parser.add_argument("--object-version", type=int, default=0, help="of the object")
        parser.add_argument("--id", default="", help="32 hex digits; a second put is dropped")

    def handle(self, *args: Any, **options: Any) -> None:
        """Put the event and say where it is."""
        settings = hooks_settings()
        event = _event(options)
        with connect(settings.redis_url) as client:
            queue = RedisJobQueue(client, Keys(settings.namespace), settings.partitions)
            try:
                is_new = queue.put(event)
            except QueueFull as error:
                raise CommandError(f"Nothing was published: {error}") from None
            except redis.RedisError as error:
                raise CommandError(
                    f"{away(error)} It may have been put all the same: to be sure, repeat with "
                    f"--id {event.id}"
                ) from None
        partition = partition_of(event.key, settings.partitions)
        if is_new:
            self.stdout.write(f"Event {event.id} is on the queue, in partition {partition}.")
        else:
            self.stdout.write(f"Event {event.id} was put within the last hour; nothing was done.")


def _event(options: dict[str, Any]) -> Event:
    try:
        data = json.loads(sys.stdin.read() if options["data"] == "-" else options["data"])
    except ValueError as error:
        raise CommandError(f"--data is not JSON: {error}") from None
    try:
        return Event(
            options["type"],
            tuple(options["channels"]),
            data,
            key=options["key"],
            object=options["object"],
            version=options["object_version"],
            id=options["id"] or new_event_id(),
        )
    except (InvalidEvent, InvalidChannel) as error:
        raise CommandError(str(error)) from None
