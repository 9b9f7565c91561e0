"""The job queue in Redis: a stream for each partition, a script for each change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from pushgate.connection import LONGEST_BLOCK_SECONDS
from pushgate.errors import MarkMoved, QueueFull
from pushgate.event import Event
from pushgate.frames import Frame
from pushgate.job_queue import (
    DEAD_LETTERS_KEPT,
    PARTITION_LIMIT,
    PUT_WINDOW_SECONDS,
    Finished,
    ForwardedRow,
    Job,
    partition_of,
)
from pushgate.keys import Keys
from pushgate.leases import Lease, Leases
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH
from pushgate.scripts import Script

_LENGTHS = (HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH)


class RedisJobQueue:
    """See `pushgate.job_queue.JobQueue` for what each method promises.

    Args:
        client: made by `pushgate.connect`.
        keys: the namespace.
        partitions: the same number in every part.
        limit: jobs a partition may hold.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        partitions: int = 8,
        limit: int = PARTITION_LIMIT,
    ) -> None:
        self.partitions = partitions
        self.leases = Leases(client, keys)
        self._client = client
        self._keys = keys
        self._limit = limit
        self._put = Script(client, "put")
        self._forward = Script(client, "forward")
        self._skip_gone = Script(client, "skip_gone")
        self._claim = Script(client, "claim")
        self._cancel = Script(client, "cancel")
        self._finish = Script(client, "finish")
        self._retry = Script(client, "retry")
        self._bury = Script(client, "bury")

    def put(self, event: Event) -> bool:
        """See `JobQueue.put`."""
        try:
            return bool(
                self._put(
                    [self._jobs_of(event), self._keys.ledger, self._keys.put(event.id)],
                    [event.to_json(), self._limit, PUT_WINDOW_SECONDS],
                )
            )
        except ResponseError as error:
            if str(error).startswith("FULL "):
                raise QueueFull(
                    f"event {event.id}: its partition holds {self._limit} jobs; put it later"
                ) from None
            raise

    def mark(self, source: str) -> str:
        """See `JobQueue.mark`."""
        value = self._client.hget(self._keys.relay, source)
        return value.decode() if isinstance(value, bytes) else ""

    def take_back_partitions(self) -> None:
        """See `JobQueue.take_back_partitions`."""
        self._client.delete(*(self._keys.lease(str(name)) for name in range(self.partitions)))

    def forward(self, lease: Lease, source: str, after: str, rows: Sequence[ForwardedRow]) -> int:
        """See `JobQueue.forward`."""
        keys = [self._keys.lease(lease.name), self._keys.relay, self._keys.ledger]
        places: dict[int, int] = {}
        place_of_row = bytearray()
        for _, key, _ in rows:
            partition = partition_of(key, self.partitions)
            place = places.get(partition)
            if place is None:
                place = places[partition] = len(places) + 1
                keys.append(self._keys.jobs(partition))
            place_of_row.append(place)
        arguments: list[str | bytes | int] = [source, after, self._limit]
        arguments += (" ".join([mark for mark, _, _ in rows]), bytes(place_of_row))
        arguments += [body for _, _, body in rows]
        return self._behind_mark(self._forward, lease, keys, arguments)

    def skip_gone(self, lease: Lease, source: str, after: str, rows: int) -> int:
        """See `JobQueue.skip_gone`."""
        keys = [self._keys.lease(lease.name), self._keys.relay, self._keys.ledger]
        return self._behind_mark(self._skip_gone, lease, keys, [source, after, rows])

    def claim(self, lease: Lease, after: str, count: int) -> list[Job]:
        """See `JobQueue.claim`."""
        keys = [*self._keys_of_jobs(lease), self._keys.ledger]
        found = self._as_holder(self._claim, lease, keys, [lease.name, after, count])
        return [
            Job(entry_id.decode(), body, attempts)
            for entry_id, body, attempts in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]

    def wait(self, positions: Mapping[str, str], seconds: float) -> set[str]:
        """See `JobQueue.wait`."""
        names = {self._keys.jobs(int(name)).encode(): name for name in positions}
        streams: dict[Any, Any] = dict(zip(names, positions.values(), strict=True))
        block = int(min(seconds, LONGEST_BLOCK_SECONDS) * 1000) or None
        found: Any = self._client.xread(streams, count=1, block=block)
        return {names[key] for key, _ in found or ()}

    def paused(self) -> set[str]:
        """See `JobQueue.paused`."""
        names: Any = self._client.smembers(self._keys.paused)
        return {name.decode() for name in names}

    def finish(self, lease: Lease, finished: Sequence[Finished]) -> int:
        """See `JobQueue.finish`."""
        keys = [
            self._keys.jobs(int(lease.name)),
            self._keys.lease(lease.name),
            self._keys.attempts,
            self._keys.log,
            self._keys.ledger,
        ]
        arguments: list[str | bytes | int] = [lease.name, *_LENGTHS]
        for job in finished:
            arguments += (job.entry_id, job.outcome.value, len(job.frames))
            self._add_frames(job.frames, keys, arguments)
        return int(self._as_holder(self._finish, lease, keys, arguments))

    def cancel(self, lease: Lease, entry_ids: Sequence[str]) -> int:
        """See `JobQueue.cancel`."""
        keys = [*self._keys_of_jobs(lease), self._keys.ledger]
        return int(self._as_holder(self._cancel, lease, keys, [lease.name, *entry_ids]))

    def retry(self, lease: Lease, entry_id: str) -> int:
        """See `JobQueue.retry`."""
        keys = [*self._keys_of_jobs(lease), self._keys.ledger]
        return int(self._as_holder(self._retry, lease, keys, [lease.name, entry_id]))

    def bury(self, lease: Lease, entry_id: str, reason: str, frames: Sequence[Frame] = ()) -> bool:
        """See `JobQueue.bury`."""
        keys = [
            *self._keys_of_jobs(lease),
            self._keys.log,
            self._keys.ledger,
            self._keys.dead,
        ]
        arguments: list[str | bytes | int] = [lease.name, *_LENGTHS]
        arguments += (entry_id, reason, DEAD_LETTERS_KEPT, len(frames))
        self._add_frames(frames, keys, arguments)
        return bool(self._as_holder(self._bury, lease, keys, arguments))

    def _jobs_of(self, event: Event) -> str:
        return self._keys.jobs(partition_of(event.key, self.partitions))

    def _keys_of_jobs(self, lease: Lease) -> list[str]:
        """The keys that say what jobs there are, who may act, and which were claimed."""
        return [
            self._keys.jobs(int(lease.name)),
            self._keys.lease(lease.name),
            self._keys.attempts,
            self._keys.claimed,
        ]

    def _add_frames(
        self, frames: Iterable[Frame], keys: list[str], arguments: list[str | bytes | int]
    ) -> None:
        """Adds what `append_frames.lua` reads."""
        for frame in frames:
            keys += map(self._keys.channel, frame.channels)
            arguments += (len(frame.channels), " ".join(frame.channels), frame.data)

    def _behind_mark(
        self,
        script: Script,
        lease: Lease,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
    ) -> int:
        """Runs a script of the relay, whose first arguments are the source and its mark."""
        try:
            return int(self._as_holder(script, lease, keys, arguments))
        except ResponseError as error:
            code, _, found = str(error).partition(" ")
            if code == "MARK":
                raise MarkMoved(str(arguments[0]), str(arguments[1]), found) from None
            raise

    def _as_holder(
        self,
        script: Script,
        lease: Lease,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
    ) -> Any:
        """Runs a script that first checks the lease; every such script gets the holder first."""
        try:
            return script(keys, [lease.holder, *arguments])
        except ResponseError as error:
            if str(error).startswith("LEASE "):
                raise lease.lost() from None
            raise
