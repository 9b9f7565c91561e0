"""What the formatter's processes log: one line a record, with the event it is about as fields.

A record made while an event is worked on carries that event's fields by itself, also one that a
site's own stage or a library logs; `about` adds them where the worker speaks of an event otherwise.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from formatter.errors import reason_of
from pushgate import Event
from pushgate.job_queue import partition_of

FORMS = ("text", "json")

FIELDS = ("event_id", "type", "key", "correlation_id", "attempts", "partition")
"""What a record about an event carries, in this order; what is not known is left out."""

MOST_FRAMES = 12
"""Places of a traceback that a line of text names, the innermost ones."""

MOST_TRACEBACK = 20_000
"""Characters of a traceback in JSON."""

# Control characters, and what else a terminal or a log viewer takes for the end of a line or for
# the order to write backwards.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[\w.:@/+-]+", re.ASCII)

working_on: ContextVar[tuple[Event, int] | None] = ContextVar("working_on", default=None)
"""The event whose attempt runs in this greenlet, and how often it was tried, this time included.

Set by the worker itself and not by an observer: it costs a job 0.1 microseconds so.
"""


def current_event() -> Event | None:
    """The event that this greenlet works on; None between events."""
    current = working_on.get()
    return current[0] if current else None


def about(event: Event, attempts: int | None = None) -> dict[str, Any]:
    """The fields of a record about an event: `logger.warning("...", extra=about(event))`."""
    fields: dict[str, Any] = {"event_id": event.id, "type": event.type, "key": event.key}
    if event.correlation_id:
        fields["correlation_id"] = event.correlation_id
    if attempts is not None:
        fields["attempts"] = attempts
    return fields


class EventFields(logging.Filter):
    """Puts the fields of the event worked on into a record that has none of its own.

    Args:
        partitions: how many there are, to name the event's.
    """

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true."""
        current = working_on.get()
        if current is not None and getattr(record, "event_id", current[0].id) == current[0].id:
            for name, value in about(*current).items():
                record.__dict__.setdefault(name, value)
        key = getattr(record, "key", None)
        if isinstance(key, str) and not hasattr(record, "partition"):
            record.partition = str(partition_of(key, self._partitions))
        return True


class TextFormatter(logging.Formatter):
    """A line for people: time, level, what was said, the event in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        fields = " ".join(
            f"{name}={_quoted(record.__dict__[name])}" for name in FIELDS if name in record.__dict__
        )
        line = f"{_time_of(record)} {record.levelname} {record.getMessage()}"
        if fields:
            line += f" [{fields}]"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" | {_in_one_line(record.exc_info[1])}"
        if record.stack_info:
            line += f" | {record.stack_info}"
        return escape(line)


class LineOfJsonFormatter(JsonFormatter):
    """A JSON object for machines; it has no line end in it, for JSON writes none."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
        )

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Puts the time first."""
        log_data["time"] = _time_of(record)
        super().add_fields(log_data, record, message_dict)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, which the text of an error may make longer than anybody reads."""
        return "".join(super().formatException(ei))[:MOST_TRACEBACK]


def configure(form: str, partitions: int, stream: TextIO | None = None) -> logging.Handler:
    """Sends every record of this process, from INFO on, to `stream` (stderr when not given).

    Args:
        form: one of `FORMS`.
        partitions: how many there are, to name an event's.

    Returns:
        The handler; it takes the place of those that were there.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineOfJsonFormatter() if form == "json" else TextFormatter())
    handler.addFilter(EventFields(partitions))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    return handler


def escape(text: str) -> str:
    """The text with every character spelled out that could end a line or steer a terminal."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_one_line(error: BaseException) -> str:
    """An error, what it came from, and where: innermost first."""
    places = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    ]
    line = reason_of(error)
    if places:
        line += f" at {' < '.join(reversed(places))}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{line} | because of {reason_of(cause)}" if cause else line
