"""What the control panel's templates need: `{% load push_panel %}`."""

from __future__ import annotations

import json
from datetime import datetime

from django import template

from django_hooks import figures
from django_hooks.figures import aware
from pushgate.control import DeadLetter

register = template.Library()

MOST_CHARACTERS = 20_000
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@register.filter
def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago something was, in its largest unit: `3 s`, `12 min`."""
    if since is None:
        return ""
    seconds = max(0.0, (now - (aware(since) or now)).total_seconds())
    for length, unit in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


register.filter(figures.rows)


@register.filter
def pretty(letter: DeadLetter) -> str:
    """Return a dead letter's data as indented JSON, or what was found where an event should be."""
    event = letter.event()
    if event is None:
        text = letter.body.decode("utf-8", "replace")
    else:
        text = json.dumps(event.data, indent=2, ensure_ascii=False)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}\n… and {len(text) - MOST_CHARACTERS} more characters"
