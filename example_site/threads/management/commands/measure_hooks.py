"""`manage.py measure_hooks`: what the hook adds to a save, beside one bare XADD in its place.

For `make bench`, on a database and a Redis of their own. Prints one line of JSON: what each way
takes, in microseconds. Everything is measured as what it adds to a save, for code that runs between
two saves finds the processor's caches full of Django.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import quantiles
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from django_hooks.models import OutboxRow
from django_hooks.outbox_writer import write_events
from django_hooks.registry import registry
from django_hooks.settings import hooks_settings
from example_site.threads.models import Comment, Thread
from pushgate import connect

XADD_KEY = "{plain}:jobs:0"


class Command(BaseCommand):
    """Measures the hook."""

    help = "Measures what the hook adds to a save, on an empty outbox."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add `--rounds` and `--saves`."""
        parser.add_argument("--rounds", type=int, default=80, help="how often each way, in turn")
        parser.add_argument("--saves", type=int, default=50, help="in a round")

    def handle(self, *args: Any, rounds: int, saves: int, **options: Any) -> None:
        """Save a comment in each way, in turn."""
        client = connect(hooks_settings().redis_url)
        if OutboxRow.objects.exists():
            raise CommandError("The outbox is not empty; give it that of a bench.")
        thread = Thread.objects.create(title="On the way")
        comment = Comment.objects.create(
            thread=thread, author="Ada", text="A comment of some length. " * 4
        )
        event = OutboxRow.objects.get().event

        def save_and_insert() -> None:
            comment.save()
            write_events([event], connection)

        def save_and_append() -> None:
            comment.save()
            client.xadd(XADD_KEY, {"event": event})

        ways: Mapping[str, tuple[Callable[[], object], Any, Any]] = {
            "save": (comment.save, without_hook, transaction.atomic),
            "save and INSERT": (save_and_insert, without_hook, transaction.atomic),
            "save and XADD": (save_and_append, without_hook, transaction.atomic),
            "hooked save": (comment.save, nullcontext, transaction.atomic),
            "lone save": (comment.save, without_hook, nullcontext),
            "hooked lone save": (comment.save, nullcontext, nullcontext),
        }
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (act, around, within) in ways.items():
                spent[name].append(microseconds(act, saves, around(), within()))
        client.delete(XADD_KEY)
        found = {name: undisturbed(samples) for name, samples in spent.items()}
        self.stdout.write(
            json.dumps(
                {"database": connection.vendor, "saves": rounds * saves, "microseconds": found}
            )
        )


def microseconds(
    act: Callable[[], object],
    times: int,
    around: AbstractContextManager[object],
    within: AbstractContextManager[object],
) -> float:
    """Return what one of many acts takes by the clock on the wall."""
    with around, within:
        act()
        began = time.perf_counter()
        for _ in range(times):
            act()
        return (time.perf_counter() - began) / times * 1e6


def undisturbed(samples: list[float]) -> float:
    """Return what a round takes while nobody else wants the processor: the fastest fifth's end."""
    return quantiles(samples, n=5)[0]


@contextmanager
def without_hook() -> Iterator[None]:
    """Have the comments' hook unregistered for a while."""
    hook = registry.hook_of(Comment)
    assert hook is not None
    registry.unregister(Comment)
    try:
        yield
    finally:
        registry.register(Comment, type(hook))
