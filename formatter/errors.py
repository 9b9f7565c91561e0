"""What a stage raises, and what the worker does about it."""

from __future__ import annotations

import signal

from pushgate.errors import PushgateError

_LONGEST_TEXT = 2000


class FormatterError(PushgateError):
    """The root of what the formatter raises on purpose."""


class TransientError(FormatterError):
    """A stage could not do its work now but may later: the job is tried again, its key waits.

    Any other exception of a stage is for good: the job goes to the dead letters at once.
    """


class EventExpired(FormatterError):
    """A stage found the event too old to be worth a frame: the job ends, booked as expired."""


class DeadlineExceeded(TransientError):
    """An event's stages, or a call into another process, took longer than they may."""


class ProcessDied(TransientError):
    """The process that a call ran in ended before it had an answer.

    Attributes:
        returncode: its exit status, or the negative number of the signal that killed it; None when
            it could not be found out.
    """

    def __init__(self, process: str, returncode: int | None) -> None:
        super().__init__(f"{process} ended with {_how_it_ended(returncode)}")
        self.returncode = returncode


class NoProcess(TransientError):
    """There is no process for a call and none could be started, which is no event's fault: it is
    tried again until there is one.
    """


class PoolClosed(NoProcess):
    """The worker is stopping and starts no calls into other processes any more."""


class ProcessEnded(FormatterError):
    """An event ended the process that worked on it alone, or would never have let it go on."""


class ResultTooLarge(FormatterError):
    """What a call into another process returned is more than this process takes in."""


class InvalidFrames(FormatterError):
    """What a pipeline made of an event is no tuple of frames."""


class StageExited(FormatterError):
    """A stage raised what is meant to end a process, a greenlet or a task, and not an event."""


class InvalidPipelines(FormatterError, ValueError):
    """The module named with `--pipelines` does not say which pipelines there are."""


class InvalidPublishers(FormatterError, ValueError):
    """The module named with `--pipelines` has publishers that cannot be started."""


def reason_of(error: BaseException) -> str:
    """`ValueError: what it says`, in a text that can be logged and kept, whatever the error is."""
    return f"{type(error).__name__}: {text_of(error)}"


def text_of(error: BaseException) -> str:
    """What an error says: not too long, and UTF-8 has all of it."""
    try:
        text = str(error)[:_LONGEST_TEXT]
    except Exception:
        # An error of a site's own, which fails to say what it is.
        return "(it has no text)"
    return text.encode("utf-8", "backslashreplace").decode()


def _how_it_ended(returncode: int | None) -> str:
    if returncode is None:
        return "an exit status that nobody saw"
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"
