"""What can go wrong when parts are installed or started: one sentence that says what to do."""


class StackError(Exception):
    """A part could not be found, started or stopped; the text is one sentence for the reader."""


class PlatformMissing(StackError):
    """nginx, its modules or Redis are not installed yet."""


class DeadlineMissed(StackError):
    """Something awaited did not come true in time."""
