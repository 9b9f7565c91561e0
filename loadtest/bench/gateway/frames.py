"""The frames that the gateway's benchmarks send: about 300 bytes, each with its number."""

from __future__ import annotations

FRAME_BYTES = 300
"""With its `id:` line, as it goes out."""

_ID_LINE_BYTES = len("id: 00000000.1700000000000-0\n")


def frame(number: int) -> str:
    """Return a frame as the formatter makes it; a subscriber's n-th one has the number n."""
    begun = f'event: comment.created\ndata: {{"n":{number},"text":"'
    filled = FRAME_BYTES - _ID_LINE_BYTES - len(begun) - len('"}\n\n')
    return f'{begun}{"x" * filled}"}}\n\n'


def frame_with_id(number: int) -> str:
    """Return a frame as a gateway sends it."""
    return f"id: 00000000.1700000000000-{number % 10}\n{frame(number)}"
