"""An internal API asked by HTTP: with a deadline, a bound on everything, a memory and a circuit
breaker. Nothing is connected before the first question.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import urllib3
from cachetools import TTLCache

from formatter.circuit import Circuit
from formatter.errors import FormatterError, InvalidPipelines, TransientError
from pushgate import json_codec

CONNECT_SECONDS = 2.0
PIECE_BYTES = 64 * 1024

COME_AGAIN = frozenset({408, 425, 429})
"""Statuses of a client's error that pass by themselves (RFC 9110, 8470, 6585)."""

ENTRY_BYTES = 500
"""What an answer remembered takes beside its body and its address."""


class ApiRefused(FormatterError):
    """The API answered, and asking again would change nothing."""


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """How much an API may take of anything.

    Attributes:
        seconds: for one question, from connecting to the last byte.
        wait_seconds: how long a question waits while the API is left alone, because it failed,
            before it counts as failed itself. Without it an outage of some seconds would use up
            the attempts of every event.
        answer_bytes: the longest answer.
        connections: kept open for further questions; more may be open at once.
        cache_seconds: how long an answer is given again; 0: never.
        cache_bytes: for all answers remembered, bodies and what holds them.
        cache_entries: how many answers are remembered.
        circuit_failures: so many failures in a row, and the API is left alone.
        circuit_seconds: for so long; then one question tries it.
    """

    seconds: float = 5.0
    wait_seconds: float = 10.0
    answer_bytes: int = 64 * 1024
    connections: int = 1_000
    cache_seconds: float = 60.0
    cache_bytes: int = 16 * 1024 * 1024
    cache_entries: int = 10_000
    circuit_failures: int = 5
    circuit_seconds: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int,) if isinstance(field.default, int) else (int, float)
            may_be_none = field.name in ("wait_seconds", "cache_seconds")
            if type(value) not in kinds or value < 0 or (value == 0 and not may_be_none):
                raise InvalidPipelines(f"ApiLimits: {field.name} {value!r}: use a number above 0")


class _Question:
    """One question on its way, for all who ask it meanwhile."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.body: bytes | None = None
        self.error: FormatterError | None = None
        self.is_settled = False


class JsonApi:
    """Asks one origin for JSON objects. One instance serves all greenlets, or threads.

    Args:
        origin: `http://api.internal:8000`; nothing else is ever asked, redirects are not followed.
        headers: go with every question.
        limits: see there.
    """

    def __init__(
        self,
        origin: str,
        headers: Mapping[str, str] | None = None,
        limits: ApiLimits | None = None,
    ) -> None:
        self._origin = origin
        self._limits = limits or ApiLimits()
        self._headers = {
            "Accept": "application/json",
            "User-Agent": "pushgate-formatter",
            **(headers or {}),
        }
        self._pool = urllib3.connection_from_url(
            origin, maxsize=self._limits.connections, block=False, retries=False
        )
        self._circuit = Circuit(origin, self._limits.circuit_failures, self._limits.circuit_seconds)
        self._lock = threading.Lock()
        self._questions: dict[str, _Question] = {}
        self._answers: TTLCache[str, bytes | None] = TTLCache(
            self._limits.cache_bytes, self._limits.cache_seconds, getsizeof=self._weight
        )

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Asks for one object; who asks for the same meanwhile gets the same answer.

        Args:
            target: path and query, quoted.
            headers: go with this question.

        Returns:
            The object, the caller's own; None when there is none (404).

        Raises:
            TransientError: no answer in time, or one that says to come again.
            ApiRefused: any other answer.
        """
        while True:
            with self._lock:
                # None is an answer, too; an empty body is not.
                known = self._answers.get(target, b"")
                if known != b"":
                    return None if known is None else _object(known, target)
                question = self._questions.get(target)
                is_ours = question is None
                if question is None:
                    question = self._questions[target] = _Question()
            if is_ours:
                self._ask(question, target, headers or {})
            elif not question.answered.wait(self._limits.seconds + self._limits.wait_seconds):
                raise TransientError(f"{self._origin}{target}: no answer in time")
            if question.error is not None:
                # One of its own for each: an exception raised twice is two tales in one.
                raise type(question.error)(*question.error.args)
            if question.is_settled:
                return None if question.body is None else _object(question.body, target)
            # Whoever asked was ended before the answer came: ask anew.

    def _ask(self, question: _Question, target: str, headers: Mapping[str, str]) -> None:
        try:
            with self._circuit.passing(self._limits.wait_seconds):
                question.body = self._fetch(target, headers)
            question.is_settled = True
        except FormatterError as error:
            question.error = error
        finally:
            with self._lock:
                del self._questions[target]
                if question.is_settled and self._weight(question.body) <= self._answers.maxsize:
                    self._answers[target] = question.body
            question.answered.set()

    def _fetch(self, target: str, headers: Mapping[str, str]) -> bytes | None:
        where = f"{self._origin}{target}"
        give_up_at = time.monotonic() + self._limits.seconds
        try:
            try:
                response = self._send(target, headers, give_up_at)
            except urllib3.exceptions.ProtocolError:
                # The usual end of a connection kept open: the server closed it as we wrote.
                response = self._send(target, headers, give_up_at)
            body = self._read(response, where, give_up_at)
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"{where}: {error}") from None
        status = response.status
        if status == 404:
            return None
        if status >= 500 or status in COME_AGAIN:
            raise TransientError(f"{where} answered {status}")
        if not 200 <= status < 300:
            raise ApiRefused(f"{where} answered {status}")
        if body is None:
            raise ApiRefused(f"{where}: more than {self._limits.answer_bytes} bytes")
        _object(body, where)
        return body

    def _send(
        self, target: str, headers: Mapping[str, str], give_up_at: float
    ) -> urllib3.BaseHTTPResponse:
        left = max(0.001, give_up_at - time.monotonic())
        return self._pool.urlopen(
            "GET",
            target,
            headers={**self._headers, **headers},
            timeout=urllib3.Timeout(total=left, connect=min(CONNECT_SECONDS, left)),
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _read(
        self, response: urllib3.BaseHTTPResponse, where: str, give_up_at: float
    ) -> bytes | None:
        """Returns the body; None when it is too long."""
        body = bytearray()
        is_whole = False
        try:
            # A piece is what has come: a server that sends a byte now and then is found out.
            while piece := response.read1(PIECE_BYTES):
                body += piece
                if len(body) > self._limits.answer_bytes:
                    return None
                if time.monotonic() > give_up_at:
                    raise TransientError(f"{where}: the answer took {self._limits.seconds} s")
            is_whole = True
        finally:
            if is_whole:
                response.release_conn()
            else:
                response.close()
        return bytes(body)

    def _weight(self, body: bytes | None) -> int:
        """What an answer takes of `cache_bytes`: at least so much that `cache_entries` fill it."""
        return max(
            len(body or b"") + ENTRY_BYTES, self._limits.cache_bytes // self._limits.cache_entries
        )


def _object(body: bytes, where: str) -> dict[str, Any]:
    try:
        value = json_codec.decode(body)
    except ValueError as error:
        raise ApiRefused(f"{where}: the answer is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ApiRefused(f"{where}: the answer is not a JSON object")
    return value
