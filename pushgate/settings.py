"""What every part must be told alike, read from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from pushgate.errors import InvalidSetting


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Redis is and how the queue in it is cut.

    Attributes:
        redis_url: `PUSHGATE_REDIS_URL`; `pushgate.connect` says what it may be.
        namespace: `PUSHGATE_NAMESPACE`; one Redis may hold several.
        partitions: `PUSHGATE_PARTITIONS`: how many formatter processes can work at once at the
            most. The same everywhere: a part that counts differently would put jobs where nobody
            looks.
    """

    redis_url: str = "redis://127.0.0.1:6379/0"
    namespace: str = "pushgate"
    partitions: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= 1024:
            raise InvalidSetting(f"PUSHGATE_PARTITIONS {self.partitions}: use 1 to 1024")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings from `environment` (the process's own when not given).

        Raises:
            InvalidSetting: a value is malformed or out of its range.
        """
        values = os.environ if environment is None else environment
        default = cls()
        partitions = values.get("PUSHGATE_PARTITIONS", str(default.partitions))
        if not partitions.isdecimal():
            raise InvalidSetting(f"PUSHGATE_PARTITIONS {partitions!r}: use a whole number, 8 say")
        return cls(
            redis_url=values.get("PUSHGATE_REDIS_URL", default.redis_url),
            namespace=values.get("PUSHGATE_NAMESPACE", default.namespace),
            partitions=int(partitions),
        )
