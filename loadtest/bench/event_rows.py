"""Events as the relay moves them, made before anything is measured."""

from __future__ import annotations

from collections.abc import Iterable

from pushgate import Event
from pushgate.job_queue import ForwardedRow

_TEXT = "A comment of some length. Indeed"


def plain_events(
    count: int, keys: int, *, kind: str = "plain.created", text: str = _TEXT
) -> list[ForwardedRow]:
    """Make events that need nothing, like those of comments, of 330 bytes with the usual text.

    Args:
        keys: over how many ordering keys, in turn.
    """
    return rows_of(
        Event(
            type=kind,
            channels=(f"thread:{number % keys}",),
            data={"id": number, "thread": number % keys, "author": "Ada", "text": text},
            object=f"threads.comment:{number}",
            version=number + 1,
        )
        for number in range(count)
    )


def rows_of(events: Iterable[Event]) -> list[ForwardedRow]:
    """Return the events as the relay moves them."""
    return [
        (f"{number:020d}", event.key, event.to_json()) for number, event in enumerate(events, 1)
    ]
