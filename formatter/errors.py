"""What a stage raises, and what the worker does about it."""

from __future__ import annotations

from pushgate.errors import PushgateError


class FormatterError(PushgateError):
    """The root of what the formatter raises on purpose."""


class TransientError(FormatterError):
    """A stage could not do its work now but may later: the job is tried again, its key waits.

    Any other exception of a stage is for good: the job goes to the dead letters at once.
    """


class DeadlineExceeded(TransientError):
    """An event's stages took longer than they may."""


class ProcessEnded(FormatterError):
    """An event ended the process that worked on it alone, or would never have let it go on."""


class InvalidPipelines(FormatterError, ValueError):
    """The module named with `--pipelines` does not say which pipelines there are."""
