"""What is wrong with the books after a test that did its worst."""

import redis

from pushgate import Keys
from pushgate.auditing import Auditor, Outboxes


def imbalances(
    client: redis.Redis, keys: Keys, partitions: int, outboxes: Outboxes | None = None
) -> list[str]:
    """One sentence each; nothing when they balance."""
    return Auditor(client, keys, partitions, outboxes=outboxes).read().complaints
