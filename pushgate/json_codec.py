"""JSON as Pushgate writes and reads it: UTF-8, one line, no NaN, no repair."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

encode_string: Callable[[str], str] = json.encoder.encode_basestring
"""Writes a text as a JSON string; half a surrogate pair is noticed when it becomes UTF-8."""

encode_as_text: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode
"""As `encode`, but not yet UTF-8: half a surrogate pair is not noticed."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def encode(value: Any) -> bytes:
    """Writes `value` as one line of UTF-8 JSON.

    Raises:
        ValueError: it holds NaN, an infinity, a circle or half a surrogate pair.
        TypeError: it holds something that JSON has no form for.
    """
    return encode_as_text(value).encode()


def decode(text: bytes | str) -> Any:
    """Reads one JSON value.

    Raises:
        ValueError: the text is anything else, or not UTF-8.
    """
    try:
        return _decode(text.decode() if isinstance(text, bytes) else text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
