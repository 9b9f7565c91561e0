"""How the load goes up and comes down: all users at once, until the load test is over."""

from __future__ import annotations

from locust import LoadTestShape, User

from loadtest.errors import LoadTestError
from loadtest.session import Phase, session_of

# Above it locust itself warns.
USERS_PER_SECOND = 100


class LoadShape(LoadTestShape):
    """Spawns every reader and commenter, and ends the run when the session says so."""

    _begun_for: float | None = None

    def tick(self) -> tuple[int, float] | tuple[int, float, list[type[User]] | None] | None:
        """Return how many users there should be now, None at the end."""
        if self.runner is None:
            raise LoadTestError("a shape works in a runner; start it with locust")
        session = session_of(self.runner.environment)
        # Locust sets `start_time` anew at each start.
        if self._begun_for != self.start_time:
            self._begun_for = self.start_time
            session.begin()
        if session.advance() is Phase.OVER:
            return None
        return session.settings.readers + session.settings.commenters, USERS_PER_SECOND
