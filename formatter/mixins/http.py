"""What the event does not carry, fetched from an internal API."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import quote, urlsplit

from formatter.errors import FormatterError, InvalidPipelines
from formatter.json_api import ApiLimits, ApiRefused, JsonApi
from formatter.mixins.needs import needed, texts
from formatter.mixins.pattern import Pattern
from formatter.pipeline import Pipeline
from formatter.seldom import SeldomWarning
from pushgate import Event
from pushgate.event import RESERVED_DATA_NAMES


class EnrichByHttpMixin(Pipeline):
    """Asks an internal API for a JSON object and adds fields of it to the event's data.

        class CommentPipeline(EnrichByHttpMixin, Pipeline):
            enrich_url = "http://api.internal/users/{author_id}"
            enrich_target = "author"
            enrich_fields = ("name", "avatar")

    An event whose data lacks a name that the address needs passes without. Events that ask for the
    same address share one question, and its answer for `enrich_limits.cache_seconds`. When the API
    fails, the event is tried again later; when it fails repeatedly it is left alone for some
    seconds (`enrich_limits`), which the events wait for.

    Attributes:
        enrich_url: the address, with names of the data in braces, in path and query only.
        enrich_target: the name in the data that gets the fields.
        enrich_fields: which fields of the answer: an internal API says more than subscribers
            may see.
        enrich_required: False: an event passes without when the API fails or refuses, at once.
        enrich_missing_is_fatal: True: 404 ends the event in the dead letters; otherwise it passes
            without.
        enrich_token_variable: the environment variable that holds the API's bearer token.
        enrich_limits: deadlines and bounds. A question and its wait must fit into
            `deadline_seconds`.
    """

    enrich_url: str
    enrich_target: str
    enrich_fields: Sequence[str]
    enrich_required = True
    enrich_missing_is_fatal = False
    enrich_token_variable = ""
    enrich_limits = ApiLimits()

    def __init__(self) -> None:
        """Reads the attributes and the token; connects to nothing.

        Raises:
            InvalidPipelines: an attribute is missing or wrong, or the token is.
        """
        super().__init__()
        name = type(self).__name__
        url = needed(self, EnrichByHttpMixin, "enrich_url", "http://api.internal/users/{author_id}")
        self._enrich_origin = _origin_of(f"{name}.enrich_url = {url!r}", url)
        self._enrich_address = Pattern(self, "enrich_url", url, quote=partial(quote, safe=""))
        target = needed(self, EnrichByHttpMixin, "enrich_target", "author")
        if not isinstance(target, str) or target in RESERVED_DATA_NAMES:
            raise InvalidPipelines(f"{name}.enrich_target = {target!r}: use a name of the data")
        needed(self, EnrichByHttpMixin, "enrich_fields", ("name", "avatar"))
        self._enrich_fields = texts(self, "enrich_fields")
        limits = self.enrich_limits
        if not isinstance(limits, ApiLimits):
            raise InvalidPipelines(f"{name}.enrich_limits = {limits!r}: use ApiLimits(seconds=2)")
        if not self.enrich_required:
            limits = replace(limits, wait_seconds=0.0)
        if limits.seconds + limits.wait_seconds >= self.deadline_seconds:
            raise InvalidPipelines(
                f"{name}.enrich_limits: {limits.seconds} s for a question and "
                f"{limits.wait_seconds} s of waiting do not fit into deadline_seconds = "
                f"{self.deadline_seconds}"
            )
        self._enrich_api = JsonApi(self._enrich_origin, self._enrich_credentials(), limits)
        self._enrich_passed = SeldomWarning(f"{name}: events passed without {target}")

    def enrich(self, event: Event) -> Event:
        """See the class.

        Raises:
            TransientError: the API failed.
            ApiRefused: the API answered with what asking again would not change.
        """
        event = super().enrich(event)
        address = self._enrich_address.fill(event.data)
        if address is None:
            return event
        try:
            answer = self._enrich_api.get(address[len(self._enrich_origin) :], _headers_of(event))
        except FormatterError as error:
            if self.enrich_required:
                raise
            self._enrich_passed.note(error)
            return event
        if answer is None:
            if self.enrich_missing_is_fatal:
                raise ApiRefused(f"{address} answered 404")
            return event
        found = {name: answer[name] for name in self._enrich_fields if name in answer}
        return event.with_data({**event.data, self.enrich_target: found})

    def _enrich_credentials(self) -> dict[str, str]:
        variable = self.enrich_token_variable
        if not variable:
            return {}
        token = os.environ.get(variable, "").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise InvalidPipelines(
                f"{type(self).__name__}.enrich_token_variable: the environment's {variable} holds "
                "no token; set it"
            )
        return {"Authorization": f"Bearer {token}"}


def _origin_of(where: str, url: object) -> str:
    """Returns what stands before the path; `where` begins the error's sentence."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        is_origin = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_origin = False
    if not is_origin or not parts.path.startswith("/") or parts.fragment:
        raise InvalidPipelines(f"{where}: use http://host/path")
    if "{" in parts.netloc or "@" in parts.netloc:
        raise InvalidPipelines(
            f"{where}: name the host itself, without names in braces and without a password"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _headers_of(event: Event) -> dict[str, str]:
    """What lets the API's logs and traces go on where the event's are."""
    headers = {}
    if event.traceparent:
        headers["traceparent"] = event.traceparent
    if event.correlation_id:
        # A header holds nothing but ASCII.
        headers["X-Correlation-Id"] = quote(event.correlation_id, safe=" !#$&'()*+,/:;=?@[]~|<>{}")
    return headers
