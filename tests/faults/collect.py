"""What the database says at the end, and how long events took."""

from __future__ import annotations

import json
from collections.abc import Sequence

from loadtest.record import Answer, number_in
from tests.faults.evidence import CommittedEvent, Evidence
from tests.faults.load import DELETED
from tests.faults.result import Lag
from tests.faults.stage.system import System


def committed_events(system: System) -> list[CommittedEvent]:
    """Return every event that was ever committed, by the copy that a trigger made of each row."""
    with system.database() as connection:
        rows = connection.execute("SELECT id, event FROM faults_outbox ORDER BY id").fetchall()
    return [_event(row, json.loads(text)) for row, text in rows]


def _event(row: int, event: dict[str, object]) -> CommittedEvent:
    channels, data = event["channels"], event["data"]
    assert isinstance(channels, list) and isinstance(data, dict)
    return CommittedEvent(
        row, str(event["id"]), str(event["type"]), tuple(channels), str(event["object"]), data
    )


def stored_comments(system: System, threads: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Return the comments of these threads: id -> (thread, text)."""
    with system.database() as connection:
        rows = connection.execute(
            "SELECT id, thread_id, text FROM threads_comment WHERE thread_id = ANY(%s)",
            [list(threads)],
        ).fetchall()
    return {comment: (thread, text) for comment, thread, text in rows}


def lags(evidence: Evidence) -> list[Lag]:
    """Return how long each answered write took to the last page that notes times.

    What a page was sent again after a loss it had before.
    """
    numbers = [number_in(frame.decode("utf-8", "replace")) for frame in evidence.frames]
    arrived: dict[int, float] = {}
    for reader in evidence.readers:
        first: dict[int, float] = {}
        for frame, at in zip(reader.frames, reader.times, strict=False):
            first.setdefault(numbers[frame], at)
        for number, at in first.items():
            arrived[number] = max(arrived.get(number, 0.0), at)
    return [
        Lag(write.answered_at, max(0.0, arrived[write.number] - write.answered_at))
        for write in evidence.writes
        if write.answer is Answer.ACCEPTED and write.type != DELETED and write.number in arrived
    ]
