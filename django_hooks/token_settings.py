"""What `PUSHGATE` says of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from pushgate import InvalidSetting
from pushgate.revocation import LONGEST_TOKEN_SECONDS

ALGORITHMS = ("EdDSA", "HS256")
SHORTEST_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key of `PUSHGATE["TOKEN_KEYS"]`.

    Attributes:
        kid: its name, which stands in each token it signed.
        alg: `EdDSA` (the gateway gets the public half alone) or `HS256`.
        key: EdDSA: an Ed25519 key as PEM, private where it is to sign; HS256: a secret of at
            least 32 bytes. Never Django's SECRET_KEY.
    """

    kid: str
    alg: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not all(isinstance(getattr(self, f.name), str) for f in fields(self)) or not self.kid:
            raise InvalidSetting('PUSHGATE["TOKEN_KEYS"]: use text for kid, alg and key')
        if self.alg not in ALGORITHMS:
            raise InvalidSetting(
                f'PUSHGATE["TOKEN_KEYS"], key {self.kid!r}: alg {self.alg!r} is not known; '
                f"use {' or '.join(ALGORITHMS)}"
            )
        if self.alg == "HS256" and len(self.key.encode()) < SHORTEST_SECRET_BYTES:
            raise InvalidSetting(
                f'PUSHGATE["TOKEN_KEYS"], key {self.kid!r}: a secret of {len(self.key.encode())} '
                f"bytes can be guessed; use at least {SHORTEST_SECRET_BYTES}: "
                "manage.py push_keys --new HS256 draws one"
            )


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """What the Django side must know of tokens. In `PUSHGATE` the names stand in capitals.

    Attributes:
        token_keys: the first signs, all verify; none, and there are no tokens. To rotate, put a
            new key before the old one once every gateway knows it, and take the old one away when
            `token_seconds` have passed.
        token_seconds: how long a token is valid. Short: a token is not asked about.
        token_audience: the tokens' `aud`; the gateway takes those for itself only.
        token_cookie_domain: `example.org` when the gateway is push.example.org; "" when it answers
            on the site's own host.
        token_cookie_secure: False only where a site is tried out without HTTPS.
        channels_for_user: dotted path of a function `user -> list of channels`, names or
            `prefix:*`: what this user may see beyond the public. "" grants `user:<pk>`.
    """

    token_keys: tuple[TokenKey, ...] = ()
    token_seconds: int = 300
    token_audience: str = "pushgate"
    token_cookie_domain: str = ""
    token_cookie_secure: bool = True
    channels_for_user: str = ""

    def __post_init__(self) -> None:
        if not 30 <= self.token_seconds <= LONGEST_TOKEN_SECONDS:
            raise InvalidSetting(
                f'PUSHGATE["TOKEN_SECONDS"] is {self.token_seconds}: use 30 to '
                f"{LONGEST_TOKEN_SECONDS}"
            )
        kids = [key.kid for key in self.token_keys]
        if len(set(kids)) != len(kids):
            raise InvalidSetting(f'PUSHGATE["TOKEN_KEYS"]: a kid stands twice in {kids}')

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the settings' names as they stand in `PUSHGATE`."""
        return frozenset(f.name.upper() for f in fields(cls))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TokenSettings:
        """Read what `PUSHGATE` says of tokens; of the rest nothing is read.

        Raises:
            InvalidSetting: a value is malformed or out of its range. No key is in the sentence.
        """
        own = {f.name: values[f.name.upper()] for f in fields(cls) if f.name.upper() in values}
        if "token_keys" in own:
            own["token_keys"] = _keys_of(own["token_keys"])
        return cls(**own)


@cache
def token_settings() -> TokenSettings:
    """Return what the site's `PUSHGATE` says of tokens."""
    return TokenSettings.from_mapping(getattr(settings, "PUSHGATE", {}))


def _keys_of(value: Any) -> tuple[TokenKey, ...]:
    names = {f.name for f in fields(TokenKey)}
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidSetting('PUSHGATE["TOKEN_KEYS"]: use a list of {"kid", "alg", "key"}')
    for entry in value:
        if not isinstance(entry, Mapping) or set(entry) != names:
            raise InvalidSetting('PUSHGATE["TOKEN_KEYS"]: each is a dict of kid, alg and key')
    return tuple(TokenKey(**entry) for entry in value)


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting == "PUSHGATE":
        token_settings.cache_clear()
