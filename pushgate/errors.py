"""Everything Pushgate raises on purpose, as one tree.

Each sentence names the thing, the value and the next step.
"""

from __future__ import annotations


class PushgateError(Exception):
    """The root: catch it to catch everything Pushgate raises on purpose."""


class InvalidSetting(PushgateError, ValueError):
    """A setting is missing, malformed or out of its range."""


class InvalidChannel(PushgateError, ValueError):
    """A channel's name breaks the rule of `pushgate.channels`."""


class InvalidEvent(PushgateError, ValueError):
    """An event, or the JSON that should hold one, breaks the contract."""


class FrameTooLarge(PushgateError, ValueError):
    """What an event became is longer than a frame may be."""


class InvalidCursor(PushgateError, ValueError):
    """A text is not a cursor."""


class QueueFull(PushgateError):
    """A partition of the job queue holds as many jobs as it may; nothing was put. Put it later."""


class LeaseLost(PushgateError):
    """The lease has run out or belongs to another owner; nothing was done. Acquire it anew."""


class MarkMoved(PushgateError):
    """The relay's high-water mark is not where the caller believed it; nothing was appended.

    Attributes:
        mark: where the mark is now; "" when there is none.
    """

    def __init__(self, source: str, expected: str, mark: str) -> None:
        super().__init__(
            f"the mark of {source!r} is {mark!r}, not {expected!r}: read it again and go on from it"
        )
        self.mark = mark
