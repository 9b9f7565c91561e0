"""`manage.py measure_relay`: the relay against loops that move one row with one XADD.

For `make bench`, on a database and a Redis of their own. Prints one line of JSON.

The plain loop takes the next row behind the last, appends it and remembers its id. The streamed one
is the least any loop with one XADD per row can do: one query brings all rows, and it remembers
nothing, so nobody could go on where it died.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from django_hooks.models import OutboxRow
from django_hooks.relay import relay_of
from django_hooks.settings import hooks_settings
from example_site.threads.models import Comment, Thread
from pushgate import Event, connect

PLAIN_KEY = "{plain}:jobs:0"


class Command(BaseCommand):
    """Measures the relay."""

    help = "Measures the relay against one XADD per row, on an empty outbox and an empty Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the database, `--rows` and `--rounds`."""
        parser.add_argument("--database", default="default")
        parser.add_argument("--rows", type=int, default=20_000)
        parser.add_argument("--rounds", type=int, default=3, help="how often each way")

    def handle(self, *args: Any, database: str, rows: int, rounds: int, **options: Any) -> None:
        """Fill the outbox and move it, both ways in turn."""
        client = connect(hooks_settings().redis_url)
        if client.dbsize() > 0 or OutboxRow.objects.using(database).exists():
            raise CommandError("The Redis or the outbox is not empty; give it those of a bench.")
        fill(database, rows)
        ways: dict[str, Callable[[], int]] = {
            "plain": lambda: move_plainly(database, client),
            "streamed": lambda: move_streamed(database, client),
            "relay": move_by_relay,
        }
        spent = {name: Spent() for name in ways}
        for _ in range(rounds):
            for name, move in ways.items():
                # Emptied before each, so that all append to streams that are not there yet.
                client.flushall()
                spent[name] += measured(client, move, rows)
        client.flushall()
        found = {
            "database": connections[database].vendor,
            "rows": rows * rounds,
            "spent": {name: asdict(sums) for name, sums in spent.items()},
        }
        self.stdout.write(json.dumps(found))


@dataclass(frozen=True, slots=True)
class Spent:
    """What moving rows took.

    Attributes:
        seconds: by the clock on the wall.
        own_cpu_seconds: of the process that moves.
        redis_cpu_seconds: of the Redis server.
    """

    seconds: float = 0.0
    own_cpu_seconds: float = 0.0
    redis_cpu_seconds: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.seconds + other.seconds,
            self.own_cpu_seconds + other.own_cpu_seconds,
            self.redis_cpu_seconds + other.redis_cpu_seconds,
        )


def fill(database: str, rows: int) -> None:
    """Write outbox rows such as comments make."""
    thread = Thread(pk=1, title="On the way")
    comment = Comment(pk=1, thread=thread, author="Ada", text="A comment of some length. " * 4)
    OutboxRow.objects.using(database).bulk_create(
        (
            OutboxRow(
                event=Event(
                    type="comment.created",
                    channels=(f"thread:{number % 50}",),
                    data=comment.as_data(),
                    object=f"threads.comment:{number}",
                )
                .to_json()
                .decode()
            )
            for number in range(rows)
        ),
        batch_size=1000,
    )


def measured(client: redis.Redis, move: Callable[[], int], rows: int) -> Spent:
    """Return what moving all rows took."""
    began, own, theirs = time.monotonic(), own_cpu_seconds(), redis_cpu_seconds(client)
    moved = move()
    spent = Spent(
        time.monotonic() - began,
        own_cpu_seconds() - own,
        redis_cpu_seconds(client) - theirs,
    )
    if moved != rows:
        raise CommandError(f"{moved} of {rows} rows were moved.")
    return spent


def move_plainly(database: str, client: redis.Redis) -> int:
    """Move what the outbox holds one row at a time: the next one, an XADD, and its id kept."""
    moved = last = 0
    rows = OutboxRow.objects.using(database).order_by("id").values_list("id", "event")
    while (row := rows.filter(id__gt=last).first()) is not None:
        last, event = row
        client.xadd(PLAIN_KEY, {"event": event})
        moved += 1
    return moved


def move_streamed(database: str, client: redis.Redis) -> int:
    """Move what the outbox holds with one query for all rows and an XADD for each."""
    moved = 0
    rows = OutboxRow.objects.using(database).order_by("id").values_list("event", flat=True)
    for event in rows.iterator(chunk_size=1000):
        client.xadd(PLAIN_KEY, {"event": event})
        moved += 1
    return moved


def move_by_relay() -> int:
    """Move what the outbox holds as `manage.py push_relay` does."""
    relay = relay_of(hooks_settings())
    moved = 0
    while (turn := relay.turn()).more:
        moved += turn.moved
    relay.release()
    return moved + turn.moved


def own_cpu_seconds() -> float:
    """Return what this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def redis_cpu_seconds(client: redis.Redis) -> float:
    """Return what the Redis server has used."""
    used = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])
