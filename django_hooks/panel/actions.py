"""What an operator does in the control panel; each act answers with what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.utils.translation import ngettext

from django_hooks import connections
from pushgate import Control, Event, InvalidChannel, InvalidEvent, QueueFull
from pushgate.job_queue import partition_of

MOST_AT_ONCE = 1_000
"""Dead letters one request moves; whoever has more asks again."""

TEST_TYPE = "pushgate.test"
"""No page listens for this type: a test shows the way and changes nothing."""


@dataclass(frozen=True, slots=True)
class Done:
    """What an act did.

    Attributes:
        sentence: told to the operator.
        level: of the sentence, as `django.contrib.messages` counts.
        part: what was acted on, as the admin's log names it; "" when nothing was done.
        event_id: of the event that was put, if one was.
    """

    sentence: str
    part: str = ""
    level: int = messages.SUCCESS
    event_id: str = ""


def refused(sentence: str) -> Done:
    """Answer that nothing was done."""
    return Done(sentence, level=messages.ERROR)


def pause(control: Control, partition: int) -> Done:
    """Have nobody claim from a partition."""
    try:
        control.pause(partition)
    except ValueError as error:
        return refused(f"Nothing was paused: {error}.")
    return Done(
        f"Partition {partition} is paused: within a second nobody claims from it any more. "
        "Its jobs wait.",
        f"partition {partition}",
    )


def resume(control: Control, partition: int) -> Done:
    """Take `pause` back."""
    try:
        control.resume(partition)
    except ValueError as error:
        return refused(f"Nothing was resumed: {error}.")
    return Done(
        f"Partition {partition} is resumed: within a second it is worked on again.",
        f"partition {partition}",
    )


def publish_test(channel: str, text: str, partitions: int) -> Done:
    """Put a test event on the queue."""
    try:
        event = Event(TEST_TYPE, (channel.strip(),), {"text": text})
        connections.job_queue().put(event)
    except (InvalidChannel, InvalidEvent) as error:
        return refused(f"No event was published: {error}.")
    except QueueFull:
        return refused("No event was published: its partition is full. Publish it later.")
    return Done(
        f"Test event {event.id} for {event.channels[0]} is on the queue, in partition "
        f"{partition_of(event.key, partitions)}.",
        f"test event for {event.channels[0]}",
        event_id=event.id,
    )


def retry(control: Control, entry_ids: Sequence[str]) -> Done:
    """Put dead letters back on the queue."""
    return _told(entry_ids, control.retry_dead_letters, "put back to the end of the queue")


def retry_all(control: Control) -> Done:
    """Put back the dead letters there are, as many as one request moves."""
    entry_ids = [letter.entry_id for letter in control.dead_letters(MOST_AT_ONCE)]
    if not entry_ids:
        return refused("There are no dead letters.")
    done = retry(control, entry_ids)
    left = control.count_dead_letters()
    return Done(f"{done.sentence} {left} are left.", done.part, done.level) if left else done


def discard(control: Control, entry_ids: Sequence[str]) -> Done:
    """Delete dead letters for good."""
    return _told(entry_ids, control.discard_dead_letters, "discarded for good")


def _told(entry_ids: Sequence[str], act: Callable[[Sequence[str]], int], what: str) -> Done:
    if not entry_ids:
        return refused("Nothing was done: select dead letters first.")
    moved = act(entry_ids)
    gone = len(entry_ids) - moved
    letters = ngettext("%d dead letter was", "%d dead letters were", moved) % moved
    sentence = f"{letters} {what}."
    if gone:
        sentence += f" {gone} had gone before."
    if not moved:
        return Done(sentence, level=messages.WARNING)
    return Done(sentence, "dead letters")
