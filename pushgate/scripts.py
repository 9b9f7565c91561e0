"""The Redis scripts: one file per command in `pushgate/scripts/`, each with a table of its keys.

Every change of an event's state is one of them, so that it happens whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError

_INCLUDE = re.compile(r"^-- include ([a-z_]+)$", re.MULTILINE)


@cache
def script_text(name: str) -> str:
    """The whole text of a script, with what it includes.

    Raises:
        FileNotFoundError: there is no such script.
    """
    text = resources.files("pushgate").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return _INCLUDE.sub(lambda match: script_text(match[1]).rstrip("\n"), text)


class Script:
    """One command, called by its digest and sent whole when Redis does not know it."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._client = client
        self._text = script_text(name)
        self._digest = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[str], arguments: Sequence[str | bytes | int] = ()) -> Any:
        """Runs the script.

        Raises:
            redis.exceptions.ResponseError: what the script answers as an error.
        """
        try:
            return self._client.evalsha(self._digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return self._client.eval(self._text, len(keys), *keys, *arguments)
