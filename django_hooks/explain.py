"""The whole way of one event with its times, from row to frame, and what nobody knows any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import Error as DatabaseError

from django_hooks.figures import aware
from django_hooks.models import OutboxRow
from django_hooks.outbox import Outbox
from django_hooks.outboxes import outbox_of
from pushgate import Control, Event, InvalidEvent, Tracer, json_codec
from pushgate.job_queue import partition_of
from pushgate.tracer import Place, Sighting

EVENT_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
ROWS_LOOKED_AT = 100
SITE, REDIS = "site", "redis"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an event's way.

    Attributes:
        name: `made`, `written`, `relayed`, `put`, `queued`, `claimed`, `dead`, `published`.
        at: when; None when that is not known.
        what: one phrase.
        clock: whose: `site` or `redis`.
    """

    name: str
    at: datetime | None
    what: str
    clock: str = REDIS


@dataclass(frozen=True, slots=True)
class Way:
    """The way of one event, as far as it can be known.

    Attributes:
        event_id: the event's.
        about: what is known of the event itself, in one line.
        steps: in order.
        unknown: what cannot be known any more and why, one sentence each.
    """

    event_id: str
    about: str
    steps: tuple[Step, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    alias: str
    row: OutboxRow
    event: Event


class Explainer:
    """Puts together what databases and Redis know of an event.

    Args:
        tracer: looks into Redis.
        control: knows the relay's marks.
        aliases: the databases that may have an outbox.
        partitions: the same number as in every part.
        retention_seconds: how long a row is kept after it was relayed.
    """

    def __init__(
        self,
        tracer: Tracer,
        control: Control,
        aliases: Iterable[str],
        partitions: int,
        retention_seconds: float,
    ) -> None:
        self._tracer = tracer
        self._control = control
        self._aliases = tuple(aliases)
        self._partitions = partitions
        self._retention_seconds = retention_seconds

    def last_event_of(self, name: str) -> str:
        """Return the id of the last event of an object; "" when none is known.

        Args:
            name: the object's, `threads.comment:17`.
        """
        # Its rows are the younger knowledge: what is in Redis was a row before.
        for found in self._rows(f'"object":{_quoted(name)}'):
            if found.event.object == name:
                return found.event.id
        return self._tracer.last_of(name)

    def way_of(self, event_id: str) -> Way | None:
        """Return the way of an event, or None when nothing knows of it."""
        rows = [r for r in self._rows(f'"id":{_quoted(event_id)}') if r.event.id == event_id]
        row = rows[0] if rows else None
        sightings = self._tracer.find(event_id)
        put_at = self._tracer.put_at(event_id)
        if row is None and not sightings and put_at is None:
            return None
        event = row.event if row else next((s.event for s in sightings if s.event), None)
        relayed = self._relayed(row) if row else None
        steps = [*_made(event), *_written(row)]
        if relayed:
            steps.append(relayed)
        if put_at and not any(sighting.queued_at for sighting in sightings):
            steps.append(Step("put", put_at, "straight onto the queue, without an outbox"))
        for sighting in sightings:
            steps += _seen(sighting)
        on_queue = put_at is not None or (relayed is not None and relayed.name == "relayed")
        return Way(
            event_id,
            _about(event, row, self._partitions) or "its data is not known any more",
            tuple(steps),
            tuple(self._unknown(event, row, sightings, on_queue, put_at is not None)),
        )

    def _rows(self, mark: str) -> Iterator[_Row]:
        """The outbox rows whose event has this text in it, the youngest first."""
        for alias in self._aliases:
            try:
                if outbox_of(alias) is None:
                    continue
                rows = OutboxRow.objects.using(alias).filter(event__contains=mark)
                found = list(rows.order_by("-id")[:ROWS_LOOKED_AT])
            except DatabaseError:
                continue
            for row in found:
                try:
                    yield _Row(alias, row, Event.from_json(row.event))
                except InvalidEvent:
                    continue

    def _relayed(self, row: _Row) -> Step:
        mark = int(self._control.relay_marks().get(Outbox(row.alias).source()) or 0)
        if row.row.refused:
            return Step("refused", None, f"the relay keeps it aside: {row.row.refused}")
        if mark >= row.row.pk:
            return Step("relayed", None, f"the relay's mark is {mark}; when is not kept")
        before = OutboxRow.objects.using(row.alias).filter(
            id__gt=mark, id__lt=row.row.pk, refused=""
        )
        return Step(
            "waits", None, f"the relay's mark is {mark}; {before.count()} rows are before it"
        )

    def _unknown(
        self,
        event: Event | None,
        row: _Row | None,
        sightings: list[Sighting],
        on_queue: bool,
        was_put: bool,
    ) -> Iterator[str]:
        if row is None and not was_put:
            yield (
                "When its row was written: no outbox has it. Rows are deleted "
                f"{self._retention_seconds:.0f} s after they were relayed; events put without an "
                "outbox have none, and after an hour nothing tells of the put."
            )
        places = {sighting.place for sighting in sightings}
        if Place.LOG in places:
            yield "When it was queued and how often claimed: a job leaves nothing but its frames."
        elif on_queue and not sightings:
            yield self._gone(event)

    def _gone(self, event: Event | None) -> str:
        begins_at = self._tracer.log_begins_at()
        ways = "its pipeline dropped it, or it was a dead letter and was discarded"
        if event and begins_at and begins_at > datetime.fromisoformat(event.at):
            return (
                "How it ended: it left the queue and is not in the log, whose oldest frame is of "
                f"{begins_at:%Y-%m-%d %H:%M:%S} UTC: it was published before that, or {ways}."
            )
        return f"How it ended: it left the queue and is not in the log, so {ways}."


def _about(event: Event | None, row: _Row | None, partitions: int) -> str:
    if event is None:
        return ""
    version = event.version or (row.row.pk if row else 0)
    what = f"{event.type} of {event.object}" if event.object else event.type
    counted = f", version {version}" if version else ""
    return (
        f"{what}{counted}, for {' '.join(event.channels)}, "
        f"key {event.key}, partition {partition_of(event.key, partitions)}"
    )


def _made(event: Event | None) -> Iterator[Step]:
    if event is not None:
        yield Step("made", datetime.fromisoformat(event.at), "by the hook, or by hand", SITE)


def _written(row: _Row | None) -> Iterator[Step]:
    if row is not None:
        what = f"outbox row {row.row.pk} in database {row.alias}"
        yield Step("written", aware(row.row.created_at), what, SITE)


def _seen(sighting: Sighting) -> Iterator[Step]:
    if sighting.place is not Place.LOG:
        yield Step("queued", sighting.queued_at, f"in partition {sighting.where}")
        times = "once" if sighting.attempts == 1 else f"{sighting.attempts} times"
        if sighting.attempts:
            yield Step("claimed", None, f"{times}; when is not kept")
        elif sighting.place is Place.QUEUE:
            yield Step("waits", None, "no formatter has claimed it yet")
    if sighting.place is Place.DEAD:
        yield Step("dead", sighting.at, f"{sighting.reason} (letter {sighting.entry_id})")
    if sighting.place is Place.LOG:
        yield Step("published", sighting.at, f"log entry {sighting.entry_id} for {sighting.where}")
        kept = " ".join(sighting.histories) or "none any more"
        yield Step("kept", None, f"in the histories of: {kept}")


def _quoted(text: str) -> str:
    return json_codec.encode(text).decode()
