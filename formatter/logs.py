"""What a record of the log says of the event it is about."""

from __future__ import annotations

from typing import Any

from pushgate import Event


def about(event: Event, attempts: int | None = None) -> dict[str, Any]:
    """The fields of a record about an event: `logger.warning("...", extra=about(event))`."""
    fields: dict[str, Any] = {"event_id": event.id, "type": event.type, "key": event.key}
    if attempts is not None:
        fields["attempts"] = attempts
    return fields
