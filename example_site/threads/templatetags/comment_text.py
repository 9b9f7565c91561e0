"""Plain text as HTML: paragraphs, line breaks, web addresses as links. Nothing else. And ages.

`static/threads/comment_text.js` does the same in the browser; the tests hold the two together.
"""

from __future__ import annotations

import re
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_UNITS = (
    ("year", 31557600),
    ("month", 2629800),
    ("week", 604800),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
)

_PARAGRAPH_END = re.compile(r"\n[ \t]*\n[ \t\n]*")
_ADDRESS = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,:;!?'()\[\]]", re.IGNORECASE)


@register.filter
def comment_text(text: str) -> SafeString:
    """Return the text as HTML."""
    return format_html_join(
        "", "<p>{}</p>", ((_lines(part),) for part in _PARAGRAPH_END.split(text) if part)
    )


@register.filter
def initial(name: str) -> str:
    """Return the letter that stands for a person."""
    return next((letter.upper() for letter in name if letter.isalnum()), "?")


@register.filter
def hue(name: str) -> int:
    """Return a person's colour as degrees on the colour circle, the same in every page."""
    degrees = 0
    for letter in name:
        degrees = (degrees * 31 + ord(letter)) % 360
    return degrees


@register.filter
def age(moment: datetime) -> str:
    """Return how long ago something was, as the page's script says it too: `3 hours ago`."""
    seconds = int((timezone.now() - moment).total_seconds())
    for unit, length in _UNITS:
        many = seconds // length
        if many > 0:
            return f"{many} {unit}{'s' if many > 1 else ''} ago"
    return "just now"


def _lines(paragraph: str) -> SafeString:
    return mark_safe("<br>".join(_links(line) for line in paragraph.split("\n")))


def _links(line: str) -> str:
    parts, end = [], 0
    for match in _ADDRESS.finditer(line):
        parts.append(escape(line[end : match.start()]))
        parts.append(
            format_html('<a href="{0}" rel="nofollow noopener ugc">{0}</a>', match.group())
        )
        end = match.end()
    return "".join([*parts, escape(line[end:])])
