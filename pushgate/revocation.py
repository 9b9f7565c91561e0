"""Which tokens are void before they expire: a user's, or for a channel, made before a moment.

A revocation is an entry of the stream `revoked`: `user` (a token's `sub`) or `channel` (a name, or
`prefix:*`), and `before_ms`. A token is void for its user, or opens the channel no more, when its
`iat` lies before that. The stream is trimmed and expires once no token can be so old; who reads it
from the start knows everything, and who then waits for its next entry learns of each at once.
`tests/golden/revocations.json` holds every reader to the rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import redis

from pushgate.channels import check_channel
from pushgate.errors import InvalidChannel
from pushgate.keys import Keys
from pushgate.scripts import Script

LONGEST_TOKEN_SECONDS = 86_400
"""No token may be valid for longer."""

CLOCKS_DIFFER_SECONDS = 1.0
"""A token made by a host whose clock is ahead is void all the same, up to so much."""

_KEPT_MS = (LONGEST_TOKEN_SECONDS + 60) * 1000


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens that are void.

    Attributes:
        user: whose, by the tokens' `sub`; "" when `channel` is given.
        channel: the channel, or all under `prefix:*`, that they open no more.
        before_ms: tokens made before this moment; ms since 1970.
    """

    user: str
    channel: str
    before_ms: int

    def refuses(self, sub: str, channel: str, issued_at: float) -> bool:
        """Whether a token may not open a channel.

        Args:
            sub: the token's user.
            channel: what it is to open.
            issued_at: the token's `iat`, seconds since 1970.
        """
        if issued_at * 1000 >= self.before_ms:
            return False
        return sub == self.user if self.user else covers(self.channel, channel)


class Revocations(Protocol):
    """Where revocations are kept. The one in Redis and the one in memory pass the same tests."""

    def revoke_user(self, sub: str) -> Revocation:
        """Make all tokens of a user void that there are now."""
        ...

    def revoke_channel(self, channel: str) -> Revocation:
        """Have no token that there is now open a channel, or any under `prefix:*`.

        Raises:
            InvalidChannel: it is neither.
        """
        ...

    def all(self) -> list[Revocation]:
        """Every revocation that a token can still meet, first to last."""
        ...


class RedisRevocations:
    """The revocations of a namespace, in Redis. See `Revocations`."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._revoke = Script(client, "revoke")

    def revoke_user(self, sub: str) -> Revocation:
        """See `Revocations.revoke_user`."""
        return self._add(_of_user(sub, time.time()))

    def revoke_channel(self, channel: str) -> Revocation:
        """See `Revocations.revoke_channel`."""
        return self._add(_of_channel(channel, time.time()))

    def all(self) -> list[Revocation]:
        """See `Revocations.all`."""
        found: Any = self._client.xrange(self._keys.revoked)
        return [
            Revocation(
                user=fields.get(b"user", b"").decode(),
                channel=fields.get(b"channel", b"").decode(),
                before_ms=int(fields[b"before_ms"]),
            )
            for _, fields in found
        ]

    def _add(self, revocation: Revocation) -> Revocation:
        self._revoke(
            [self._keys.revoked],
            [
                "user" if revocation.user else "channel",
                revocation.user or revocation.channel,
                revocation.before_ms,
                max(0, revocation.before_ms - _KEPT_MS),
                _KEPT_MS,
            ],
        )
        return revocation


class MemoryRevocations:
    """Revocations that are lost with the process. See `Revocations`.

    Args:
        clock: seconds since 1970; a test may pass its own.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._all: list[Revocation] = []

    def revoke_user(self, sub: str) -> Revocation:
        """See `Revocations.revoke_user`."""
        return self._add(_of_user(sub, self._clock()))

    def revoke_channel(self, channel: str) -> Revocation:
        """See `Revocations.revoke_channel`."""
        return self._add(_of_channel(channel, self._clock()))

    def all(self) -> list[Revocation]:
        """See `Revocations.all`."""
        oldest_ms = self._clock() * 1000 - _KEPT_MS
        self._all = [found for found in self._all if found.before_ms >= oldest_ms]
        return list(self._all)

    def _add(self, revocation: Revocation) -> Revocation:
        self._all.append(revocation)
        return revocation


def may_open(revocations: Iterable[Revocation], sub: str, channel: str, issued_at: float) -> bool:
    """Whether no revocation keeps a token from opening a channel."""
    return not any(found.refuses(sub, channel, issued_at) for found in revocations)


def covers(granted: str, channel: str) -> bool:
    """Whether a channel is what `granted` names: the same, or `prefix:*` and it is under that."""
    if granted.endswith(":*"):
        return channel.startswith(granted[:-1])
    return channel == granted


def check_grant(granted: str) -> str:
    """Returns `granted` when it is a channel's name or `prefix:*`.

    Raises:
        InvalidChannel: it is neither.
    """
    if isinstance(granted, str) and granted.endswith(":*"):
        try:
            check_channel(f"{granted[:-1]}x")
        except InvalidChannel:
            raise InvalidChannel(
                f"channels {granted!r}: before :* stands the beginning of a channel's name, "
                "thread:* say"
            ) from None
        return granted
    return check_channel(granted)


def _of_user(sub: str, now: float) -> Revocation:
    if not sub:
        raise ValueError("revoke_user: whose tokens? give the user's primary key as text")
    return Revocation(sub, "", _before_ms(now))


def _of_channel(channel: str, now: float) -> Revocation:
    return Revocation("", check_grant(channel), _before_ms(now))


def _before_ms(now: float) -> int:
    return int((now + CLOCKS_DIFFER_SECONDS) * 1000)
