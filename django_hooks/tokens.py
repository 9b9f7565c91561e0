"""Tokens: what lets one user, for a short while, subscribe to channels that are not public.

A token is a JWT that the gateway verifies by itself, without asking anybody: `sub` (the user's
primary key), `channels` (names, or `prefix:*`), `aud`, `iat`, `nbf`, `exp`; in its header `kid`. It
comes to the gateway as the cookie `pushgate` (`django_hooks.middleware`) or as `?token=`.

Needs the extra `pushgate[tokens]`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from django_hooks import connections, token_keys
from django_hooks.panel import live
from django_hooks.token_settings import TokenSettings, token_settings
from pushgate import PushgateError
from pushgate.revocation import (
    LONGEST_TOKEN_SECONDS,
    RedisRevocations,
    Revocation,
    check_grant,
    covers,
)

User = AbstractBaseUser | AnonymousUser

LONGEST_TOKEN_BYTES = 3_800
"""A browser keeps cookies of 4,096 bytes, name and attributes included; longer ones it drops."""

CLOCKS_DIFFER_SECONDS = 5


class TokenError(PushgateError):
    """A token cannot be made, or is not valid."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says.

    Attributes:
        sub: the user's primary key, as text.
        channels: what it opens: names, or `prefix:*`.
        issued_at: seconds since 1970.
        expires_at: seconds since 1970.
    """

    sub: str
    channels: tuple[str, ...]
    issued_at: float
    expires_at: float

    def opens(self, channel: str) -> bool:
        """Whether the token opens a channel, revocations aside."""
        return any(covers(granted, channel) for granted in self.channels)


def mint(user: User, channels: Iterable[str] | None = None) -> str:
    """Return a token for a user; "" for one who is not signed in.

    Args:
        user: whose.
        channels: exactly what it opens; what `channels_of` says when not given.

    Raises:
        TokenError: there is no key, or the token would be too long to be a cookie.
        InvalidChannel: one of the channels is neither a name nor `prefix:*`.
    """
    if not user.is_authenticated:
        return ""
    settings = token_settings()
    key = token_keys.signing_key(settings.token_keys)
    granted = channels_of(user) if channels is None else _checked(channels)
    now = time.time()
    token = jwt.encode(
        {
            "sub": str(user.pk),
            "channels": granted,
            "aud": settings.token_audience,
            # To the millisecond, so that a token made just after a revocation is told from one
            # made just before.
            "iat": round(now, 3),
            "nbf": int(now),
            "exp": int(now) + settings.token_seconds,
        },
        token_keys.private(key),
        key.alg,
        {"kid": key.kid},
    )
    if len(token) > LONGEST_TOKEN_BYTES:
        raise TokenError(
            f"the token of user {user.pk} for {len(granted)} channels has {len(token)} bytes; "
            f"{LONGEST_TOKEN_BYTES} fit into a cookie: grant prefix:* instead of single names"
        )
    return token


def verify(token: str) -> Claims:
    """Return what a token says, when one of the site's keys signed it and it is its time.

    Raises:
        TokenError: it is not valid; the sentence says why.
    """
    settings = token_settings()
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in settings.token_keys if key.kid == kid), None)
        if key is None:
            raise TokenError(f"no key is called {str(kid)[:80]!r}")
        claims = jwt.decode(
            token,
            token_keys.public(key),
            # The key's own, never the token's: it could say "none", or HS256 for a public key.
            algorithms=[key.alg],
            audience=settings.token_audience,
            leeway=CLOCKS_DIFFER_SECONDS,
            options={"require": ["sub", "aud", "iat", "nbf", "exp"]},
        )
    except jwt.PyJWTError as error:
        raise TokenError(f"the token is not valid: {error}") from None
    channels = claims.get("channels")
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        raise TokenError("the token is not valid: channels is not a list of names")
    if not claims["sub"]:
        raise TokenError("the token is not valid: sub is empty")
    if claims["exp"] - claims["iat"] > LONGEST_TOKEN_SECONDS:
        raise TokenError("the token is not valid: it lives for longer than a day")
    return Claims(claims["sub"], tuple(channels), float(claims["iat"]), float(claims["exp"]))


def channels_of(user: User) -> list[str]:
    """Return what a user may see beyond the public.

    The site's function `PUSHGATE["CHANNELS_FOR_USER"]` says it; who may see the control panel may
    see the panel's channel as well.

    Raises:
        InvalidChannel: the site's function named something else than channels.
    """
    granted = list(_site_function(token_settings())(user))
    may_see = getattr(user, "has_perm", lambda _: False)
    if live.CHANNEL not in granted and any(
        may_see(f"django_hooks.{name}_controlpanel") for name in ("view", "operate")
    ):
        granted.append(live.CHANNEL)
    return _checked(granted)


def channels_for_user(user: User) -> Sequence[str]:
    """Grant each user the channel `user:<pk>`: what is done without a setting."""
    return [f"user:{user.pk}"]


def revoke_user(user: User) -> Revocation:
    """Make all tokens void that a user has now. Streams opened with them are cut.

    Take the rights away first: who still has them gets a new token at the next page.

    Raises:
        RedisError: Redis did not answer; it is not known whether they are void.
    """
    return _revocations().revoke_user(str(user.pk))


def revoke_channel(channel: str) -> Revocation:
    """Have no token there is now open a channel, or any under `prefix:*`. Streams are cut.

    Raises:
        InvalidChannel: it is neither.
        RedisError: Redis did not answer; it is not known whether it is closed.
    """
    return _revocations().revoke_channel(channel)


def _revocations() -> RedisRevocations:
    return RedisRevocations(connections.client(), connections.keys())


def _checked(channels: Iterable[str]) -> list[str]:
    return [check_grant(name) for name in dict.fromkeys(channels)]


@cache
def _site_function(settings: TokenSettings) -> Callable[[User], Iterable[str]]:
    if not settings.channels_for_user:
        return channels_for_user
    try:
        function: Any = import_string(settings.channels_for_user)
    except ImportError as error:
        raise ImproperlyConfigured(f'PUSHGATE["CHANNELS_FOR_USER"]: {error}') from error
    return function  # type: ignore[no-any-return]
