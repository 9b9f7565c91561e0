"""The event: what happened, as the site says it, and the JSON object that carries it."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pushgate import json_codec
from pushgate.channels import check_channel
from pushgate.errors import InvalidEvent
from pushgate.event_text import read_envelope

FORMAT_VERSION = 1
MAX_CHANNELS = 16
MAX_DATA_BYTES = 64 * 1024
# A character is at most 4 bytes.
_SURELY_SHORT = MAX_DATA_BYTES // 4
MAX_VERSION = 2**53 - 1
"""The largest integer a browser's number holds exactly."""

RESERVED_DATA_NAMES = frozenset({"event_id", "object", "version", "at", "channels"})
"""What the frame itself puts beside the event's data."""

RESERVED_TYPES = frozenset({"reset", "error", "open", "gone"})
"""What the gateway, the formatter and the browser say themselves."""

_TYPE = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*", re.ASCII)


@lru_cache(maxsize=1024)
def _is_type(value: str) -> bool:
    return _TYPE.fullmatch(value) is not None


_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of a surrogate pair, which UTF-8 does not have."""


_random = random.Random()
# A forked process must not draw what its parent draws.
os.register_at_fork(after_in_child=_random.seed)


def new_event_id() -> str:
    """A UUID of version 7 (RFC 9562) as 32 hex digits: sortable by time, unique by chance."""
    milliseconds = time.time_ns() // 1_000_000
    draw = _random.getrandbits
    return f"{milliseconds:012x}7{draw(12):03x}{draw(62) | 1 << 63:016x}"


_last_second = (0, "")


def now_rfc3339() -> str:
    """This moment in UTC with microseconds, as RFC 3339 writes it."""
    global _last_second
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    known, text = _last_second
    if known != seconds:
        text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
        _last_second = (seconds, text)
    return f"{text}.{nanoseconds // 1000:06d}Z"


def new_event_json(
    type: str,
    channels: Sequence[str],
    data: Mapping[str, Any],
    *,
    key: str = "",
    object: str = "",
    correlation_id: str = "",
    traceparent: str = "",
    flags: Mapping[str, bool] = MappingProxyType({}),
) -> str:
    """Returns the JSON of a new event: `Event(...).to_json()` in half the time, without the event.

    For who makes an event only to write it down, within a request say.

    Raises:
        InvalidEvent: a field breaks its rule, as with `Event`.
        InvalidChannel: a channel's name breaks its rule.
    """
    _check_type(type)
    names = _checked_channels(channels)
    data_json = _checked_data(data)
    _check_text("key", key, 255)
    _check_text("object", object, 255)
    _check_text("correlation_id", correlation_id, 128)
    _check_traceparent(traceparent)
    _check_flags(flags)
    return _json(
        type,
        names,
        data_json,
        key or names[0],
        object,
        0,
        new_event_id(),
        now_rfc3339(),
        correlation_id,
        traceparent,
        flags,
    )


def _json(
    type: str,
    channels: Sequence[str],
    data_json: str,
    key: str,
    object: str,
    version: int,
    id: str,
    at: str,
    correlation_id: str,
    traceparent: str,
    flags: Mapping[str, bool],
) -> str:
    text = json_codec.encode_string
    flags_json = json_codec.encode_as_text(dict(flags)) if flags else "{}"
    return (
        f'{{"v":{FORMAT_VERSION},"type":{text(type)},"channels":[{",".join(map(text, channels))}],'
        f'"data":{data_json},"key":{text(key)},"object":{text(object)},"version":{version},'
        f'"id":"{id}","at":{text(at)},"correlation_id":{text(correlation_id)},'
        f'"traceparent":"{traceparent}","flags":{flags_json}}}'
    )


@dataclass(frozen=True)
class Event:
    """What happened, as the site says it. Checked when made: an `Event` that exists is valid.

    Attributes:
        type: what happened: `comment.created`; also the name the browser listens for.
        channels: 1-16 names of who is told. The frame names them all, so whoever is told by one
            of them learns of the others.
        data: a JSON object of at most 64 KB encoded. The names in `RESERVED_DATA_NAMES` are
            the frame's own. It is encoded here and now: what is done to the object later, the
            event's JSON does not show. An event that was read decodes it at the first look.
        key: events of one key stay in order; the first channel when not given.
        object: what it happened to: `threads.comment:17`.
        version: grows with each event of that object; 0 when nobody counts.
        id: 32 hex digits, the idempotency key.
        at: when it was committed, RFC 3339.
        correlation_id: what the site's own logs call the request.
        traceparent: the W3C trace the event belongs to.
        flags: feature flags, evaluated once, where the event was made.

    Raises:
        InvalidEvent: a field breaks its rule.
        InvalidChannel: a channel's name breaks its rule.
    """

    type: str
    channels: tuple[str, ...]
    data: Mapping[str, Any]
    key: str = ""
    object: str = ""
    version: int = 0
    id: str = field(default_factory=new_event_id)
    at: str = field(default_factory=now_rfc3339)
    correlation_id: str = ""
    traceparent: str = ""
    flags: Mapping[str, bool] = field(default_factory=dict)
    _data_json: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", _checked_channels(self.channels))
        object.__setattr__(self, "_data_json", _checked_data(self.data))
        self._check()

    def _check(self) -> None:
        """Checks all but channels and data; gives the event its key."""
        _check_type(self.type)
        _check_text("key", self.key, 255)
        if not self.key:
            object.__setattr__(self, "key", self.channels[0])
        _check_text("object", self.object, 255)
        _check_version(self.version)
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise InvalidEvent(f"id {self.id!r}: use 32 lowercase hex digits")
        _check_time(self.at)
        _check_text("correlation_id", self.correlation_id, 128)
        _check_traceparent(self.traceparent)
        _check_flags(self.flags)

    def __getattr__(self, name: str) -> Any:
        # Only what was left undone comes here: the data of an event that was read, the text of data
        # that a stage changed.
        if name == "data":
            value: Any = json_codec.decode(self._data_json)
        elif name == "_data_json":
            value = _encoded_data(self.data)
        else:
            raise AttributeError(f"an event has no {name!r}")
        object.__setattr__(self, name, value)
        return value

    @property
    def data_json(self) -> str:
        """The data as a JSON object in one line."""
        return self._data_json

    def to_json(self) -> bytes:
        """The JSON object that carries the event: one line, UTF-8."""
        return _json(
            self.type,
            self.channels,
            self._data_json,
            self.key,
            self.object,
            self.version,
            self.id,
            self.at,
            self.correlation_id,
            self.traceparent,
            self.flags,
        ).encode()

    @classmethod
    def from_json(cls, text: bytes | str) -> Event:
        """Reads what `to_json` wrote. Rejects, never repairs.

        Raises:
            InvalidEvent: the text is not an event of this format, and why.
            InvalidChannel: a channel's name breaks its rule.
        """
        found = read_envelope(text)
        if found is None:
            return cls._from_odd_json(text)
        envelope, data_json = found
        if envelope.v != FORMAT_VERSION or len(data_json) > _SURELY_SHORT:
            return cls._from_odd_json(text)
        event = object.__new__(cls)
        # A frozen dataclass can only be filled past its own methods.
        fields = event.__dict__
        fields["type"] = envelope.type
        fields["channels"] = _checked_channels(envelope.channels)
        fields["_data_json"] = data_json
        fields["key"] = envelope.key
        fields["object"] = envelope.object
        fields["version"] = envelope.version
        fields["id"] = envelope.id
        fields["at"] = envelope.at
        fields["correlation_id"] = envelope.correlation_id
        fields["traceparent"] = envelope.traceparent
        fields["flags"] = envelope.flags
        event._check()
        return event

    @classmethod
    def _from_odd_json(cls, text: bytes | str) -> Event:
        """Reads any JSON that is an event, and says of any other what is wrong with it."""
        try:
            value = json_codec.decode(text)
        except ValueError as error:
            raise InvalidEvent(f"an event must be JSON: {error}") from None
        if not isinstance(value, dict):
            raise InvalidEvent("an event must be a JSON object")
        if value.pop("v", None) != FORMAT_VERSION:
            raise InvalidEvent(f"an event must have v = {FORMAT_VERSION}")
        if value.keys() != _FIELD_NAMES:
            missing = ", ".join(sorted(_FIELD_NAMES - value.keys())) or "none"
            unknown = ", ".join(sorted(value.keys() - _FIELD_NAMES))[:200] or "none"
            raise InvalidEvent(f"an event's fields: missing {missing}; unknown {unknown}")
        if not isinstance(value["channels"], list):
            raise InvalidEvent("channels: use a list of names")
        return cls(**value)

    def with_version(self, version: int) -> Event:
        """The same event, counted."""
        _check_version(version)
        counted = self._copy_without("version")
        object.__setattr__(counted, "version", version)
        return counted

    def with_data(self, data: Mapping[str, Any]) -> Event:
        """The same event with other data, for a stage of a pipeline.

        The data is checked and encoded when somebody asks for its JSON, and may be longer than
        64 KB. Nobody may change it from here on.
        """
        changed = self._copy_without("data", "_data_json")
        object.__setattr__(changed, "data", data)
        return changed

    def _copy_without(self, *names: str) -> Event:
        # All else has been checked.
        copied = object.__new__(Event)
        copied.__dict__.update(self.__dict__)
        for name in names:
            copied.__dict__.pop(name, None)
        return copied


_FIELD_NAMES = frozenset(f.name for f in fields(Event) if f.init)


def _check_type(value: object) -> None:
    if not isinstance(value, str) or len(value) > 64 or not _is_type(value):
        raise InvalidEvent(f"type {value!r}: use words of a-z 0-9 _ - joined by dots, at most 64")
    if value in RESERVED_TYPES:
        raise InvalidEvent(f"type {value!r} is the stream's own: use another, comment.{value} say")


def _checked_channels(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, tuple | list):
        raise InvalidEvent(f"channels {value!r}: use a list of names")
    if not 1 <= len(value) <= MAX_CHANNELS:
        raise InvalidEvent(f"channels: {len(value)} names; use 1 to {MAX_CHANNELS}")
    if len(value) == 1:
        return (check_channel(value[0]),)
    names = tuple(check_channel(name) for name in value)
    if len(set(names)) != len(names):
        raise InvalidEvent(f"channels {value!r}: a name stands twice")
    return names


def _checked_data(value: object) -> str:
    """Returns the data's JSON: nothing else says as surely that it has one, and how long it is."""
    encoded = _encoded_data(value)
    size = len(encoded) if encoded.isascii() else len(encoded.encode())
    if size > MAX_DATA_BYTES:
        raise InvalidEvent(f"data: {size} bytes encoded; use at most {MAX_DATA_BYTES}")
    return encoded


def _encoded_data(value: object) -> str:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise InvalidEvent(f"data: use a JSON object, not {type(value).__name__}")
    if not RESERVED_DATA_NAMES.isdisjoint(value):
        taken = RESERVED_DATA_NAMES & value.keys()
        raise InvalidEvent(f"data: {', '.join(sorted(taken))} is the frame's own; rename it")
    for name in value:
        if not isinstance(name, str):
            raise InvalidEvent("data: use text for every name")
    try:
        encoded = json_codec.encode_as_text(value if type(value) is dict else dict(value))
        if not encoded.isascii():
            encoded.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEvent(f"data is not JSON: {error}") from None
    return encoded


def _check_version(value: object) -> None:
    if type(value) is not int or not 0 <= value <= MAX_VERSION:
        raise InvalidEvent(f"version {value!r}: use a whole number from 0 to 2^53-1")


def _check_text(name: str, value: object, longest: int) -> None:
    if value == "":
        return
    if (
        not isinstance(value, str)
        or len(value) > longest
        or not (value.isprintable() or not _UNFIT.search(value))
    ):
        raise InvalidEvent(
            f"{name} {str(value)[:80]!r}: use at most {longest} characters of UTF-8, "
            "no control characters"
        )


def _check_time(value: object) -> None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidEvent(f"at {value!r}: use RFC 3339 with a time zone, 2026-01-31T12:00:00Z say")


def _check_traceparent(value: object) -> None:
    if value != "" and (not isinstance(value, str) or not _TRACEPARENT.fullmatch(value)):
        raise InvalidEvent(f"traceparent {value!r}: use the W3C form 00-<32 hex>-<16 hex>-<2 hex>")


def _check_flags(value: object) -> None:
    if type(value) is dict and not value:
        return
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(on, bool) for name, on in value.items()
    ):
        raise InvalidEvent("flags: use an object of name: true or false")
