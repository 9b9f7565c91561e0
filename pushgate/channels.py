"""What a channel may be called. The rule stands here once for Python; Lua has its own in
`lua/pushgate/channels.lua`, and `tests/golden/channels.json` holds both to it."""

from __future__ import annotations

import re
from functools import lru_cache

from pushgate.errors import InvalidChannel

MAX_CHANNEL_LENGTH = 127

RULE = (
    "a channel is 1-127 of a-z 0-9 _ : @ - and dots inside, begins with a letter or digit, "
    "and does not end in .b<digits>"
)

FORM = r"[a-z0-9](?:[a-z0-9_:@.-]{0,125}[a-z0-9_:@-])?"
BACKLOG_SUFFIX = r"\.b[0-9]+"
"""Both as regular expressions that PostgreSQL reads as Python does."""

_PATTERN = re.compile(FORM, re.ASCII)
_BACKLOG_SUFFIX = re.compile(rf"{BACKLOG_SUFFIX}\Z", re.ASCII)


# The same channels come again and again, and no name that comes here is long.
@lru_cache(maxsize=4096)
def _is_channel(name: str) -> bool:
    return _PATTERN.fullmatch(name) is not None and not _BACKLOG_SUFFIX.search(name)


def check_channel(name: str) -> str:
    """Returns `name` when it is a channel's name.

    Raises:
        InvalidChannel: it is not; the sentence holds the rule.
    """
    if not isinstance(name, str) or len(name) > MAX_CHANNEL_LENGTH or not _is_channel(name):
        shown = name if not isinstance(name, str) or len(name) <= 140 else name[:137] + "..."
        raise InvalidChannel(f"channel {shown!r}: {RULE}")
    return name
