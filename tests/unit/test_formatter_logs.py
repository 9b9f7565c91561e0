"""What a record looks like: one line, with the event it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formatter.logs import (
    EventFields,
    LineOfJsonFormatter,
    TextFormatter,
    about,
    current_event,
    escape,
    working_on,
)
from pushgate import Event
from pushgate.job_queue import partition_of

PARTITIONS = 8
ATTACK = "a\n2026-01-01T00:00:00Z INFO all is well\r\x1b[2J\x00\x85\u2028\u202ex"


@contextmanager
def logging_to(formatter: logging.Formatter) -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.addFilter(EventFields(PARTITIONS))
    logger = logging.Logger("site")
    logger.addHandler(handler)
    yield logger, stream


@pytest.fixture
def event() -> Event:
    return Event("comment.created", ("thread:1",), {}, key="forum 7", correlation_id="req-1")


def test_a_record_of_an_event_carries_its_fields(event: Event) -> None:
    with logging_to(LineOfJsonFormatter()) as (logger, stream):
        logger.warning("attempt %d failed", 2, extra=about(event, attempts=2))
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "WARNING",
        "logger": "site",
        "message": "attempt 2 failed",
        "event_id": event.id,
        "type": "comment.created",
        "key": "forum 7",
        "correlation_id": "req-1",
        "attempts": 2,
        "partition": str(partition_of("forum 7", PARTITIONS)),
    }


def test_the_text_form_names_them_behind_the_sentence(event: Event) -> None:
    with logging_to(TextFormatter()) as (logger, stream):
        logger.warning("attempt %d failed", 2, extra=about(event, attempts=2))
        logger.info("started")
    first, second = stream.getvalue().splitlines()
    assert first.split(" ", 1)[1] == (
        f"WARNING attempt 2 failed [event_id={event.id} type=comment.created "
        f'key="forum 7" correlation_id=req-1 attempts=2 '
        f"partition={partition_of('forum 7', PARTITIONS)}]"
    )
    assert second.split(" ", 1)[1] == "INFO started"


def test_what_a_stage_logs_carries_the_event_worked_on(event: Event) -> None:
    with logging_to(LineOfJsonFormatter()) as (logger, stream):
        working_on.set((event, 3))
        logger.info("within")
        assert current_event() == event
        working_on.set(None)
        logger.info("after")
    within, after = map(json.loads, stream.getvalue().splitlines())
    assert (within["event_id"], within["attempts"]) == (event.id, 3)
    assert "event_id" not in after
    assert current_event() is None


def test_a_record_about_another_event_keeps_its_own_fields(event: Event) -> None:
    other = Event("vote.cast", ("thread:2",), {})
    with logging_to(LineOfJsonFormatter()) as (logger, stream):
        working_on.set((event, 3))
        logger.info("another", extra=about(other))
        working_on.set(None)
    record = json.loads(stream.getvalue())
    assert (record["event_id"], record["type"]) == (other.id, "vote.cast")
    assert "correlation_id" not in record
    assert "attempts" not in record


def test_greenlets_do_not_see_each_others_events() -> None:
    seen: dict[str, Any] = {}

    def work(name: str) -> None:
        event = Event("comment.created", (name,), {})
        working_on.set((event, 1))
        gevent.sleep(0)
        found = current_event()
        seen[name] = found is event
        working_on.set(None)

    gevent.joinall([gevent.spawn(work, f"thread:{n}") for n in range(5)], raise_error=True)
    assert seen == {f"thread:{n}": True for n in range(5)}
    assert current_event() is None


@pytest.mark.parametrize("formatter", [TextFormatter(), LineOfJsonFormatter()])
def test_nobody_writes_a_line_of_the_log_by_what_he_sends(formatter: logging.Formatter) -> None:
    with logging_to(formatter) as (logger, stream):
        try:
            raise ValueError(ATTACK)
        except ValueError:
            logger.exception("event %s", ATTACK, extra={"key": ATTACK, "event_id": ATTACK})
    written = stream.getvalue()
    assert written.endswith("\n")
    assert written[:-1].isprintable()


@given(st.text())
def test_an_escaped_text_is_one_line_everywhere(text: str) -> None:
    assert len(f"x{escape(text)}x".splitlines()) == 1
    assert "\x1b" not in escape(text)


def test_an_ordinary_text_is_left_as_it_is() -> None:
    assert escape("naïve 日本語 😀 – “quotes”") == "naïve 日本語 😀 – “quotes”"


def test_a_field_cannot_pretend_to_be_two() -> None:
    event = Event("a", ("b",), {}, correlation_id='x" event_id=forged')
    with logging_to(TextFormatter()) as (logger, stream):
        logger.info("said", extra=about(event))
    assert 'correlation_id="x\\" event_id=forged"' in stream.getvalue()


def test_an_error_is_told_with_its_place_and_its_cause() -> None:
    def fail() -> None:
        try:
            raise KeyError("name")
        except KeyError as error:
            raise ValueError("no such comment") from error

    with logging_to(TextFormatter()) as (logger, stream):
        try:
            fail()
        except ValueError:
            logger.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ERROR failed | ValueError: no such comment at " in line
    assert f"{__file__}:" in line
    assert " fail < " in line
    assert line.endswith("because of KeyError: 'name'")


def test_json_has_the_whole_traceback() -> None:
    with logging_to(LineOfJsonFormatter()) as (logger, stream):
        try:
            raise ValueError("no such comment")
        except ValueError:
            logger.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["exception"].startswith("Traceback")


class Unprintable(Exception):
    """Fails to say what it is."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("formatter", [TextFormatter(), LineOfJsonFormatter()])
@pytest.mark.parametrize("error", [ValueError("x" * 10_000_000), Unprintable()])
def test_an_error_cannot_flood_the_log_or_keep_out_of_it(
    formatter: logging.Formatter, error: Exception
) -> None:
    with logging_to(formatter) as (logger, stream):
        logger.error("the pipeline failed", exc_info=error)
    line = stream.getvalue()
    assert type(error).__name__ in line
    assert line.count("\n") == 1
    assert len(line) < 30_000
