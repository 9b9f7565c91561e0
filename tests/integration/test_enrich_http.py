"""Enrichment by HTTP, against a server that behaves in every way a server can."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from formatter import Pipeline, TransientError
from formatter.circuit import CircuitOpen
from formatter.json_api import ApiLimits, ApiRefused, JsonApi
from formatter.mixins import EnrichByHttpMixin
from pushgate import Event
from stack.platform import REPOSITORY
from tests.integration.scripted_api import Request, ScriptedApi

DEADLINE_SECONDS = 90
AT_ONCE = ApiLimits(wait_seconds=0.0)
QUICK = ApiLimits(seconds=0.2, wait_seconds=0.0, cache_seconds=0.0)
PATIENT = ApiLimits(seconds=DEADLINE_SECONDS, wait_seconds=0.0)


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with ScriptedApi() as server:
        yield server
        server.shutdown()


def pipeline(server: ScriptedApi, **attributes: Any) -> Pipeline:
    """A pipeline that asks the server for an event's author."""
    made = type(
        "Comment",
        (EnrichByHttpMixin, Pipeline),
        {
            "enrich_url": server.origin + "/users/{author}",
            "enrich_target": "author_shown",
            "enrich_fields": ("name", "avatar"),
            **attributes,
        },
    )()
    assert isinstance(made, Pipeline)
    return made


def comment(author: object = 7, **fields: Any) -> Event:
    return Event("comment.created", ("thread:1",), {"author": author, "text": "hi"}, **fields)


def test_the_listed_fields_of_the_answer_are_added(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({"name": "Ada", "email": "ada@example.org"})
    assert pipeline(server).enrich(comment()).data == {
        "author": 7,
        "text": "hi",
        "author_shown": {"name": "Ada"},
    }


@pytest.mark.parametrize(
    ("author", "path"),
    [(7, "/users/7"), ("a b/c?d#e", "/users/a%20b%2Fc%3Fd%23e"), ("ü%2F", "/users/%C3%BC%252F")],
)
def test_a_value_stays_within_its_place(server: ScriptedApi, author: object, path: str) -> None:
    pipeline(server).enrich(comment(author))
    assert server.paths == [path]


@pytest.mark.parametrize("author", ["", ".", "..", None, True, [1], {"id": 1}])
def test_what_is_no_value_for_an_address_is_not_asked_for(
    server: ScriptedApi, author: object
) -> None:
    event = comment(author)
    assert pipeline(server).enrich(event) is event
    assert server.paths == []


def test_token_trace_and_correlation_id_go_along(
    server: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cret\n")
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    pipeline(server, enrich_token_variable="API_TOKEN").enrich(
        comment(correlation_id="reqü:1", traceparent=trace)
    )
    (request,) = server.requests
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.headers["traceparent"] == trace
    assert request.headers["X-Correlation-Id"] == "req%C3%BC:1"


def test_connections_are_kept(server: ScriptedApi) -> None:
    asking = pipeline(server)
    for author in range(20):
        asking.enrich(comment(author))
    assert len(server.requests) == 20
    assert server.connections == 1


def test_an_answer_is_given_again_while_it_is_fresh(server: ScriptedApi) -> None:
    asking = pipeline(server)
    first = asking.enrich(comment())
    assert asking.enrich(comment()).data == first.data
    assert len(server.requests) == 1


def test_no_answer_is_given_again_when_none_is_to_be_kept(server: ScriptedApi) -> None:
    asking = pipeline(server, enrich_limits=ApiLimits(cache_seconds=0))
    asking.enrich(comment())
    asking.enrich(comment())
    assert len(server.requests) == 2


def test_answers_are_kept_up_to_a_number_and_a_size(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({"name": request.path * 100})
    few = JsonApi(server.origin, limits=ApiLimits(cache_entries=10))
    small = JsonApi(server.origin, limits=ApiLimits(cache_bytes=20_000))
    for api, kept in ((few, 10), (small, 13)):
        for number in range(100):
            api.get(f"/users/{number:03}")
        asked = len(server.requests)
        for number in reversed(range(100)):
            api.get(f"/users/{number:03}")
        assert len(server.requests) - asked == 100 - kept


def test_an_answer_above_what_may_be_kept_is_still_given(server: ScriptedApi) -> None:
    api = JsonApi(server.origin, limits=ApiLimits(cache_bytes=100))
    assert api.get("/users/7") == {"name": "Ada"}
    assert api.get("/users/7") == {"name": "Ada"}


def test_what_is_asked_at_once_is_asked_once(server: ScriptedApi) -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def answer(request: Request) -> None:
        asked.set()
        go_on.wait(DEADLINE_SECONDS)
        request.json({"name": "Ada"})

    server.answer = answer
    api = JsonApi(server.origin, limits=PATIENT)
    with ThreadPoolExecutor(50) as pool:
        first = pool.submit(api.get, "/users/7")
        asked.wait(DEADLINE_SECONDS)
        rest = [pool.submit(api.get, "/users/7") for _ in range(49)]
        go_on.set()
        answers = [future.result(DEADLINE_SECONDS) for future in (first, *rest)]
    assert answers == [{"name": "Ada"}] * 50
    assert len(server.requests) == 1
    assert len({id(answer) for answer in answers}) == 50


def test_who_shares_a_question_shares_its_failure(server: ScriptedApi) -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def answer(request: Request) -> None:
        asked.set()
        go_on.wait(DEADLINE_SECONDS)
        request.json({}, 500)

    server.answer = answer
    api = JsonApi(server.origin, limits=PATIENT)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(api.get, "/users/7")
        asked.wait(DEADLINE_SECONDS)
        rest = [pool.submit(api.get, "/users/7") for _ in range(9)]
        go_on.set()
        errors = [future.exception(DEADLINE_SECONDS) for future in (first, *rest)]
    assert all(isinstance(error, TransientError) for error in errors)
    assert len({id(error) for error in errors}) == 10


def test_when_the_one_who_asked_is_ended_another_asks(server: ScriptedApi) -> None:
    class Ended(BaseException):
        pass

    api = JsonApi(server.origin, limits=PATIENT)
    fetch = api._fetch
    asked = threading.Event()
    go_on = threading.Event()

    def end(target: str, headers: Any) -> bytes | None:
        api._fetch = fetch  # type: ignore[method-assign]
        asked.set()
        go_on.wait(DEADLINE_SECONDS)
        raise Ended

    api._fetch = end  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(api.get, "/users/7")
        asked.wait(DEADLINE_SECONDS)
        second = pool.submit(api.get, "/users/7")
        go_on.set()
        assert isinstance(first.exception(DEADLINE_SECONDS), Ended)
        assert second.result(DEADLINE_SECONDS) == {"name": "Ada"}


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429])
def test_a_status_that_passes_is_tried_again(server: ScriptedApi, status: int) -> None:
    server.answer = lambda request: request.raw(b"x" * 100_000, status)
    with pytest.raises(TransientError, match=f"/users/7 answered {status}"):
        pipeline(server, enrich_limits=AT_ONCE).enrich(comment())


@pytest.mark.parametrize("status", [301, 400, 401, 403, 410])
def test_a_status_that_stays_is_for_good(server: ScriptedApi, status: int) -> None:
    server.answer = lambda request: request.json({}, status)
    with pytest.raises(ApiRefused, match=f"/users/7 answered {status}"):
        pipeline(server).enrich(comment())
    assert len(server.requests) == 1


def test_what_there_is_not_passes_without_unless_it_must_be_there(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({}, 404)
    event = comment()
    asking = pipeline(server)
    assert asking.enrich(event) is event
    assert asking.enrich(event) is event
    assert len(server.requests) == 1
    with pytest.raises(ApiRefused, match="/users/7 answered 404"):
        pipeline(server, enrich_missing_is_fatal=True).enrich(event)


@pytest.mark.parametrize("body", [b"[1]", b"{", b"", b'{"name": NaN}', b"\xff"])
def test_what_is_no_json_object_is_for_good(server: ScriptedApi, body: bytes) -> None:
    server.answer = lambda request: request.raw(body)
    with pytest.raises(ApiRefused, match="the answer is not"):
        pipeline(server).enrich(comment())


def test_an_answer_that_is_too_long_is_for_good(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({"name": "x" * 2000})
    with pytest.raises(ApiRefused, match="more than 1000 bytes"):
        pipeline(server, enrich_limits=ApiLimits(answer_bytes=1000)).enrich(comment())


def test_an_answer_that_breaks_off_is_tried_again(server: ScriptedApi) -> None:
    def answer(request: Request) -> None:
        request.raw(b'{"name"', length=100)
        request.hang_up()

    server.answer = answer
    with pytest.raises(TransientError):
        pipeline(server, enrich_limits=AT_ONCE).enrich(comment())


def test_an_answer_that_comes_too_late_is_tried_again(server: ScriptedApi) -> None:
    go_on = threading.Event()

    def answer(request: Request) -> None:
        go_on.wait(DEADLINE_SECONDS)

    server.answer = answer
    try:
        with pytest.raises(TransientError, match="timed out"):
            pipeline(server, enrich_limits=QUICK).enrich(comment())
    finally:
        go_on.set()


def test_an_answer_that_comes_in_drops_is_given_up_at_the_deadline(server: ScriptedApi) -> None:
    gone = threading.Event()

    def answer(request: Request) -> None:
        request.raw(b"{", length=1_000_000)
        while not gone.wait(0.01):
            request.wfile.write(b" ")
            request.wfile.flush()

    server.answer = answer
    try:
        with pytest.raises(TransientError):
            pipeline(server, enrich_limits=QUICK).enrich(comment())
    finally:
        gone.set()


def test_nobody_listening_is_tried_again() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        api = JsonApi(f"http://127.0.0.1:{taken.getsockname()[1]}", limits=AT_ONCE)
        with pytest.raises(TransientError, match="refused"):
            api.get("/users/7")


def test_a_connection_closed_as_the_question_was_written_is_replaced(server: ScriptedApi) -> None:
    def answer(request: Request) -> None:
        if len(server.requests) == 2:
            request.hang_up()
        else:
            request.json({"name": "Ada"})

    server.answer = answer
    asking = pipeline(server)
    asking.enrich(comment(1))
    assert asking.enrich(comment(2)).data["author_shown"] == {"name": "Ada"}


def test_an_api_that_fails_repeatedly_is_left_alone(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({}, 503)
    limits = ApiLimits(wait_seconds=0, circuit_failures=3, circuit_seconds=DEADLINE_SECONDS * 10)
    asking = pipeline(server, enrich_limits=limits)
    for author in range(3):
        with pytest.raises(TransientError, match="503"):
            asking.enrich(comment(author))
    for author in range(10):
        with pytest.raises(CircuitOpen):
            asking.enrich(comment(author))
    assert len(server.requests) == 3


def test_an_outage_is_waited_for_instead_of_using_up_attempts(server: ScriptedApi) -> None:
    server.answer = lambda request: request.json({}, 503)
    limits = ApiLimits(
        seconds=5, wait_seconds=20, circuit_failures=1, circuit_seconds=0.05, cache_seconds=0
    )
    asking = pipeline(server, enrich_limits=limits)
    with pytest.raises(TransientError):
        asking.enrich(comment())
    server.answer = lambda request: request.json({"name": "Ada"})
    with ThreadPoolExecutor(20) as pool:
        shown = list(pool.map(asking.enrich, [comment(author) for author in range(20)]))
    assert all(event.data["author_shown"] == {"name": "Ada"} for event in shown)


def test_what_is_not_required_passes_without_while_the_api_fails(
    server: ScriptedApi, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda request: request.json({}, 500)
    asking = pipeline(server, enrich_required=False)
    events = [comment(author) for author in range(20)]
    assert [asking.enrich(event) for event in events] == events
    assert len(server.requests) == 5
    assert caplog.text.count("Comment: events passed without author_shown") == 1


def test_a_thousand_questions_of_one_process_overlap() -> None:
    # Its server answers none before all have come.
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.overlapping_questions"],
        cwd=REPOSITORY,
        timeout=100,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout == "1000 answers\n"
