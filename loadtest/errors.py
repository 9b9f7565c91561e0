"""What keeps a load test from being run at all."""


class LoadTestError(Exception):
    """One sentence that names the thing, the value and the next step."""
