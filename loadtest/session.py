"""One load test from its first connect to its verdict: what its users share.

It goes through phases, and the shape asks for the next one each second:

    CONNECTING   the readers connect, the commenters wait
    WRITING      the commenters write; some readers drop their connection and resume
    DRAINING     nobody writes; the readers get what is still under way
    OVER
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from itertools import count
from math import inf
from weakref import WeakKeyDictionary

from locust.env import Environment

from loadtest.checker import Verdict, check, missing
from loadtest.errors import LoadTestError
from loadtest.record import Answer, Kind, Record, number_in
from loadtest.settings import LoadSettings
from loadtest.site import CallRefused, CallUnanswered, Site

CONNECTING_SECONDS = 60.0
QUIET_SECONDS = 2.0
DRAINING_SECONDS = 30.0
# A commenter's call is waited for when its time is over.
STOP_SECONDS = 15.0
EXAMPLES = 10


class Phase(Enum):
    """Where the load test is."""

    CONNECTING = "connecting"
    WRITING = "writing"
    DRAINING = "draining"
    OVER = "over"


class LoadSession:
    """What the users of one load test share.

    Args:
        environment: whose events are told of every measurement.

    Attributes:
        phase: where it is.
        record: what was written and received.
        failures: how often each thing failed.
        failure_examples: the first failures as sentences.
        counts: how often readers connected, resumed, were cut off by the server.
        unanswered: writes of which the API never said whether they happened; known at the end.
        connect_ms: of each connect, until the stream had said its position.
    """

    def __init__(
        self, environment: Environment, settings: LoadSettings, site: Site, gateway_url: str
    ) -> None:
        self.settings = settings
        self.site = site
        self.gateway_url = gateway_url
        self.phase = Phase.CONNECTING
        self.record = Record(())
        self.failures: Counter[str] = Counter()
        self.failure_examples: list[str] = []
        self.counts: Counter[str] = Counter()
        self.connect_ms: list[float] = []
        self.unanswered = 0
        self.verdict: Verdict | None = None
        self._environment = environment
        self._phase_ends_at = inf
        self._numbers: dict[type, Iterator[int]] = {}
        _sessions[environment] = self

    def begin(self) -> None:
        """Make the threads.

        Raises:
            LoadTestError: the site does not.
        """
        try:
            threads = [
                self.site.add_thread(f"Load test, thread {number}")
                for number in range(1, self.settings.threads + 1)
            ]
        except (CallRefused, CallUnanswered) as error:
            raise LoadTestError(f"the threads could not be made: {error}") from None
        self.record = Record(threads)
        self._enter(Phase.CONNECTING, CONNECTING_SECONDS)

    def next_number(self, user_class: type) -> int:
        """Return 1, 2, 3 ... for the users of a class."""
        return next(self._numbers.setdefault(user_class, count(1)))

    def advance(self) -> Phase:
        """Enter the next phase when it is time, and return where it is now."""
        late = time.monotonic() >= self._phase_ends_at
        if self.phase is Phase.CONNECTING and (late or self.unsubscribed == 0):
            self._enter(Phase.WRITING, self.settings.seconds)
        elif self.phase is Phase.WRITING and late:
            self._enter(Phase.DRAINING, DRAINING_SECONDS)
        elif self.phase is Phase.DRAINING and (late or self._is_drained()):
            self._enter(Phase.OVER, inf)
        return self.phase

    @property
    def unsubscribed(self) -> int:
        """How many readers have never been told their position."""
        told = sum(journal.subscribed_at < inf for journal in self.record.journals)
        return self.settings.readers - told

    def progress(self) -> str:
        """Return a line for whoever watches."""
        received = sum(len(journal.frames) for journal in self.record.journals)
        subscribed = self.settings.readers - self.unsubscribed
        return (
            f"{self.phase.value}: {subscribed} readers connected, {self.record.written} writes, "
            f"{received} frames delivered, {self.failures.total()} failures"
        )

    def measured(
        self, kind: str, name: str, milliseconds: float, error: Exception | None = None
    ) -> None:
        """Tell locust, and count what failed."""
        if error is not None:
            self.failed(f"{kind} {name}", str(error) or type(error).__name__)
        self._environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=error,
            context={},
        )

    def failed(self, name: str, sentence: str) -> None:
        """Count a failure."""
        self.failures[name] += 1
        if len(self.failure_examples) < EXAMPLES:
            self.failure_examples.append(f"{name}: {sentence}")

    def judge(self) -> Verdict:
        """Ask the site about what it left unanswered, compare, and tell locust what was found."""
        self._settle()
        if self.unsubscribed:
            self.failures["readers never connected"] += self.unsubscribed
        self.verdict = check(self.record)
        for finding, found in self.verdict.counts.items():
            for _ in range(min(found, EXAMPLES)):
                self._environment.events.request.fire(
                    request_type="FRAME",
                    name=finding.value,
                    response_time=0,
                    response_length=0,
                    exception=AssertionError(finding.__doc__ or finding.value),
                    context={},
                )
        return self.verdict

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, repeated, out of order, and nothing failed."""
        return bool(self.verdict and self.verdict.clean and not self.failures)

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self._phase_ends_at = time.monotonic() + seconds

    def _is_drained(self) -> bool:
        newest = max((j.times[-1] for j in self.record.journals if j.times), default=0.0)
        return time.time() - newest > QUIET_SECONDS and missing(self.record) == 0

    def _settle(self) -> None:
        """Find out from the threads themselves whether an unanswered write happened."""
        unanswered = self.record.writes(Answer.NONE)
        self.unanswered = len(unanswered)
        threads = {write.thread for write in unanswered}
        stored: dict[int, dict[int, str]] = {}
        for thread in threads:
            try:
                stored[thread] = self.site.comments(thread)
            except (CallRefused, CallUnanswered) as error:
                self.failed("thread could not be read at the end", str(error))
        for write in unanswered:
            comments = stored.get(write.thread)
            if comments is None:
                continue
            if write.kind is Kind.DELETE:
                happened = write.comment not in comments
            else:
                # Its writer left the comment alone from then on.
                happened = write.number in map(number_in, comments.values())
            write.answer = Answer.ACCEPTED if happened else Answer.REFUSED


_sessions: WeakKeyDictionary[Environment, LoadSession] = WeakKeyDictionary()


def session_of(environment: Environment) -> LoadSession:
    """Return the load test that an environment's users belong to."""
    return _sessions[environment]
