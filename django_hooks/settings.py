"""The site's `PUSHGATE` setting, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_hooks.token_settings import TokenSettings
from pushgate import InvalidSetting

MODES = ("outbox", "on_commit")

_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class HooksSettings:
    """What the Django side must know. In `PUSHGATE` the names stand in capitals.

    What `PUSHGATE` says of tokens is `django_hooks.token_settings`.

    Attributes:
        redis_url: where Redis is.
        namespace: the prefix of Pushgate's keys; one Redis may hold several.
        partitions: into how many the job queue is cut; the same number in every part.
        gateway_url: what browsers put before `/sub/...`; "" when the gateway answers on the
            site's own origin.
        mode: "outbox" (the default) writes each event to the database in the same transaction as
            the row it tells of: nothing is lost while Redis, the relay or this process is down.
            "on_commit" puts each event straight to Redis after the commit and saves that write.
            It LOSES the event when the process dies between commit and put, when Redis cannot be
            reached at that moment, and when the queue is full; the latter two are logged.
        retention_seconds: how long an outbox row is kept after it was relayed. Redis may lose its
            tail; the relay then sends again from here. As long as the histories in Redis.
        alarm_seconds: the relay logs an error while a row waits in the outbox for longer.
        receipts: the share of browsers' connections, 0 to 1, of which pages tell the gateway what
            became of each frame and when it was painted.
    """

    redis_url: str = "redis://127.0.0.1:6379/0"
    namespace: str = "pushgate"
    partitions: int = 8
    gateway_url: str = ""
    mode: str = "outbox"
    retention_seconds: int = 3600
    alarm_seconds: int = 60
    receipts: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise InvalidSetting(
                    f"PUSHGATE[{field.name.upper()!r}] is {value!r}: use {_KINDS[kind]}"
                )
        if not 1 <= self.partitions <= 1024:
            raise InvalidSetting(f'PUSHGATE["PARTITIONS"] is {self.partitions}: use 1 to 1024')
        if self.mode not in MODES:
            raise InvalidSetting(f'PUSHGATE["MODE"] is {self.mode!r}: use {" or ".join(MODES)}')
        if self.retention_seconds < 0:
            raise InvalidSetting('PUSHGATE["RETENTION_SECONDS"]: use 0 or more')
        if self.alarm_seconds <= 0:
            raise InvalidSetting('PUSHGATE["ALARM_SECONDS"]: use more than 0')
        if not 0 <= self.receipts <= 1:
            raise InvalidSetting(
                f'PUSHGATE["RECEIPTS"] is {self.receipts}: use a share from 0 to 1, 0.01 say'
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> HooksSettings:
        """Read the settings from a dict such as `PUSHGATE`.

        Raises:
            InvalidSetting: a name is unknown, or a value is out of its range.
        """
        if not isinstance(values, Mapping):
            raise InvalidSetting(f"PUSHGATE is {values!r}: use a dict of settings")
        known = {field.name.upper(): field.name for field in fields(cls)}
        others = TokenSettings.names()
        unknown = sorted(map(str, values.keys() - known.keys() - others))
        if unknown:
            raise InvalidSetting(
                f"PUSHGATE[{unknown[0]!r}] is not known; use one of "
                f"{', '.join(sorted(known.keys() | others))}"
            )
        return cls(**{known[name]: value for name, value in values.items() if name in known})


@cache
def hooks_settings() -> HooksSettings:
    """Return the site's settings."""
    return HooksSettings.from_mapping(getattr(settings, "PUSHGATE", {}))


@receiver(setting_changed)
def _forget(*, setting: str, **_: object) -> None:
    if setting == "PUSHGATE":
        hooks_settings.cache_clear()
