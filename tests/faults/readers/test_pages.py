"""Watching pages against a real gateway and a scripted site."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stack.process import wait_until
from tests.faults.checking.checker import check
from tests.faults.checking.lists import shown_at_end
from tests.faults.checking.seen_frames import SeenFrames
from tests.faults.checking.truth import Truth
from tests.faults.evidence import EpochMove, Kind, Sign
from tests.faults.readers.pages import WatchingPage
from tests.faults.readers.told_gateway import ToldGateway

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

SEED = 12
DEADLINE_SECONDS = 60.0
PAGE_LENGTH = 30


class ScriptedSite(ThreadingHTTPServer):
    """Renders threads and answers lists as the example site does, of what was told.

    Attributes:
        away: it answers 503.
        knows_no_cursor: it renders pages as when Redis cannot be reached.
    """

    daemon_threads = True

    def __init__(self, told: ToldGateway) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told = told
        self.away = self.knows_no_cursor = False
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ScriptedSite

    def do_GET(self) -> None:
        """A thread's page, or its list."""
        server = self.server
        (thread,) = map(int, re.findall(r"/threads/(\d+)/", self.path))
        if server.away:
            self._answer(503, b"away")
        elif self.path.startswith("/api/"):
            self._answer(200, json.dumps(self._list(thread)).encode())
        else:
            cursor = "" if server.knows_no_cursor else server.told.cursor()
            page = f'<p id="other"><div id="thread"\n data-cursor="{cursor}">&copy;<br></div>'
            self._answer(200, page.encode())

    def _list(self, thread: int) -> dict[str, Any]:
        before = re.search(r"before=(\d+)", self.path)
        with self.server.told.lock:
            rows = [
                {"id": comment, "text": text}
                for comment, (of, text) in sorted(self.server.told.story.evidence.stored.items())
                if of == thread and (not before or comment < int(before[1]))
            ]
        # Shorter pages than were asked for, so that there are several.
        return {"comments": rows[-PAGE_LENGTH:], "earlier": len(rows) > PAGE_LENGTH}

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[ToldGateway]:
    """A gateway of the test's own."""
    with ToldGateway(tmp_path) as made:
        yield made


@pytest.fixture
def site(told: ToldGateway) -> Iterator[ScriptedSite]:
    """The site, serving."""
    server = ScriptedSite(told)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    yield server
    server.shutdown()
    server.server_close()
    serving.join(DEADLINE_SECONDS)


@pytest.fixture
def page(told: ToldGateway, site: ScriptedSite) -> Iterator[WatchingPage]:
    """A page that watches thread 1, not opened yet."""
    made = WatchingPage("page 1", site.url, told.gateway.url, 1, SEED)
    yield made
    close(made)


def open_page(page: WatchingPage) -> None:
    """Return when it is live."""
    page.start()
    wait_until_live(page)


def wait_until_live(page: WatchingPage) -> None:
    """Return when it is live."""
    wait_until(lambda: page.is_live, DEADLINE_SECONDS, "the page is live")


def close(page: WatchingPage) -> None:
    """Leave it."""
    page.stop()
    if page.ident is not None:
        page.join(DEADLINE_SECONDS)
        assert not page.is_alive()


def wait_for_write(page: WatchingPage, number: int) -> float:
    """Return when a write came."""
    wait_until(
        lambda: page.arrived_at(number), DEADLINE_SECONDS, f"write {number} has come to the page"
    )
    return page.arrived_at(number) or 0.0


def newest(told: ToldGateway) -> int:
    """The number of the newest write."""
    return told.story.evidence.writes[-1].number


def assert_clean(told: ToldGateway, page: WatchingPage) -> None:
    """What the page got is right, and so is its list."""
    evidence = told.story.evidence
    # The story's clock is not the page's.
    for write in evidence.writes:
        write.begun_at = float("-inf")
    page.add_to(evidence)
    verdict = check(evidence)
    assert [finding.sentence for finding in verdict.findings] == []
    assert verdict.deliveries == len(page.history.times)


def test_a_page_keeps_its_list_over_everything_that_cuts_it(
    told: ToldGateway, site: ScriptedSite, page: WatchingPage
) -> None:
    chosen = random.Random(SEED)
    for _ in range(80):
        told.tell(1)
    open_page(page)
    comments = [event.data["id"] for event in told.story.evidence.committed]
    for number in range(300):
        told.tell(1)
        told.tell(1, "comment.updated", chosen.choice(comments))
        if number % 5 == 0:
            told.tell(1, "comment.deleted", comments.pop(chosen.randrange(len(comments))))
        if number == 100:
            os.kill(told.gateway.pid, signal.SIGHUP)
        if number == 200:
            for pid in told.gateway.worker_pids:
                os.kill(pid, signal.SIGKILL)
            told.gateway.wait_until_ready()
    told.tell(1)
    wait_for_write(page, newest(told))
    close(page)
    assert_clean(told, page)
    signs = [mark.sign for mark in page.history.marks]
    assert signs[:2] == [Sign.LISTED, Sign.SUBSCRIBED]
    assert signs.count(Sign.SUBSCRIBED) > 1 and signs.count(Sign.LISTED) == 1
    evidence = told.story.evidence
    shown = shown_at_end(page.history, SeenFrames(evidence, Truth(evidence)))
    assert shown == {comment: text for comment, (_, text) in evidence.stored.items()}
    # What is checked is what was shown: without its last frame the list is another.
    page.history.frames.pop()
    assert check(evidence).count(Kind.WRONG_LIST) == 1


def test_a_page_reads_its_list_anew_after_a_reset(
    told: ToldGateway, site: ScriptedSite, page: WatchingPage
) -> None:
    told.tell(1)
    open_page(page)
    told.tell(1)
    wait_for_write(page, newest(told))
    old = told.cursor().partition(".")[0]
    site.away = True
    told.redis.stop()
    for kept in told.folder.rglob("appendonlydir"):
        shutil.rmtree(kept)
    told.redis.start()
    wait_until(lambda: not page.is_live, DEADLINE_SECONDS, "the page is told of the loss")
    told.tell(1)
    site.away = False
    wait_until_live(page)
    # The list has it, which says nothing of the way of its event.
    assert page.arrived_at(newest(told)) is None
    told.tell(1)
    wait_for_write(page, newest(told))
    close(page)
    told.story.evidence.epochs.append(
        EpochMove(0.0, old, told.cursor().partition(".")[0], justified=True)
    )
    assert_clean(told, page)
    signs = [mark.sign for mark in page.history.marks]
    assert signs.count(Sign.RESET) == 1 and signs.count(Sign.LISTED) == 2


def test_a_page_that_was_rendered_without_a_cursor_begins_where_the_stream_does(
    told: ToldGateway, site: ScriptedSite, page: WatchingPage
) -> None:
    told.tell(1)
    site.knows_no_cursor = True
    open_page(page)
    told.tell(1)
    wait_for_write(page, newest(told))
    close(page)
    assert_clean(told, page)


def test_a_page_tries_again_while_the_site_is_away(
    told: ToldGateway, site: ScriptedSite, page: WatchingPage
) -> None:
    site.away = True
    told.tell(1)
    page.start()
    assert page.arrived_at(newest(told)) is None
    site.away = False
    wait_until_live(page)
    told.tell(1)
    wait_for_write(page, newest(told))
    close(page)
    assert_clean(told, page)
