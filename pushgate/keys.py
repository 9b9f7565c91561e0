"""Every Redis key Pushgate uses. Lua's twin is `lua/pushgate/keys.lua`; both are held to
`tests/golden/keys.json`.

| key | type | holds |
|---|---|---|
| `jobs:<p>` | stream | jobs of partition p, first to last |
| `lease:<name>` | string, expires | `<token>:<owner>`; of a partition, `relay` or a publisher |
| `fence` | hash | lease name -> the last fencing token given out |
| `workers` | sorted set | formatter processes by when they were last seen (ms) |
| `claimed` | hash | partition -> the last job claimed; it and those before were claimed once |
| `attempts` | hash | `<p>:<entry id>` -> how often the job was claimed, where not once |
| `put:<id>` | string, expires | the event was put, or a channel deleted; not a second time |
| `paused` | set | partitions nobody is to claim from |
| `watched` | string, expires | somebody looks at the control panel |
| `dead` | stream | jobs given up, with the reason |
| `log` | stream | all frames in order; one that is empty tells of its channels' deletion |
| `channel:<name>` | stream, expires | one channel's recent frames, with the log's entry ids |
| `epoch` | string | names the log's life; see `pushgate.cursor` |
| `relay` | hash | source -> the relay's high-water mark |
| `relay_wake` | list | holds one element when rows are waiting |
| `revoked` | stream, expires | which tokens are void; see `pushgate.revocation` |
| `ledger` | hash | the books; see `pushgate.ledger` |
| `publishers` | hash | publisher's name -> its cursor; see `pushgate.positions` |
| `publisher:<name>` | hash | a publisher's books |
| `dead:<name>` | stream | what a publisher gave up, with the reason |
| `again:<name>` | stream | dead letters that the publisher is to send again |
"""

from __future__ import annotations

import re

from pushgate.errors import InvalidSetting

_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}", re.ASCII)


class Keys:
    """The keys of one namespace. All carry the namespace as their hash tag, so that any of them may
    meet in one script on Redis Cluster.

    Args:
        namespace: 1-63 of a-z 0-9 _ . -, beginning with a letter or digit.

    Raises:
        InvalidSetting: the namespace is anything else.
    """

    def __init__(self, namespace: str = "pushgate") -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise InvalidSetting(
                f"namespace {namespace!r}: use 1-63 of a-z 0-9 _ . -, beginning with a letter or "
                "digit"
            )
        self.namespace = namespace
        prefix = f"{{{namespace}}}:"
        self._jobs = prefix + "jobs:"
        self._lease = prefix + "lease:"
        self._put = prefix + "put:"
        self._channel = prefix + "channel:"
        self._publisher = prefix + "publisher:"
        self._dead_of = prefix + "dead:"
        self._again = prefix + "again:"
        self.fence = prefix + "fence"
        self.workers = prefix + "workers"
        self.claimed = prefix + "claimed"
        self.attempts = prefix + "attempts"
        self.paused = prefix + "paused"
        self.watched = prefix + "watched"
        self.dead = prefix + "dead"
        self.log = prefix + "log"
        self.epoch = prefix + "epoch"
        self.relay = prefix + "relay"
        self.relay_wake = prefix + "relay_wake"
        self.revoked = prefix + "revoked"
        self.ledger = prefix + "ledger"
        self.publishers = prefix + "publishers"

    def jobs(self, partition: int) -> str:
        """The stream of one partition's jobs."""
        return f"{self._jobs}{partition}"

    def lease(self, name: str) -> str:
        """Who holds the lease `name`: a partition's number, `relay` or `publisher:<name>`."""
        return self._lease + name

    def put(self, event_id: str) -> str:
        """Stands while a second put of the event is to be dropped."""
        return self._put + event_id

    def channel(self, name: str) -> str:
        """The history of one channel."""
        return self._channel + name

    def publisher(self, name: str) -> str:
        """The books of one publisher."""
        return self._publisher + name

    def dead_of(self, name: str) -> str:
        """What one publisher gave up."""
        return self._dead_of + name

    def again(self, name: str) -> str:
        """Dead letters that one publisher is to send again."""
        return self._again + name
