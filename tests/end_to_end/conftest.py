"""The whole system, every part real, as `make run` starts it; and a real Chromium."""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from loadtest.eventsource import EventSourceClient, EventSourceError, ReceivedEvent
from stack.process import wait_until
from tests.end_to_end.scripted_gateway import ScriptedGateway
from tests.started_run import StartedRun

DEADLINE_SECONDS = 90
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


def until(page: Page, expression: str) -> None:
    """Waits until the page finds the expression true.

    Asked by the clock, since Playwright's default asks with each frame, and a page under test may
    paint none.
    """
    page.wait_for_function(expression, timeout=DEADLINE_SECONDS * 1000, polling=20)


@dataclass(frozen=True)
class Answer:
    """What the site's API answered."""

    status: int
    body: dict[str, Any]


class System:
    """A running Pushgate with its example site."""

    def __init__(self, run: StartedRun) -> None:
        self.run = run
        self.site = f"http://127.0.0.1:{run.site_port}"
        self.gateway = f"http://127.0.0.1:{run.gateway_port}"

    def call(self, method: str, path: str, body: object = None) -> Answer:
        """Calls the site's API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.run.site_port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            found = response.read()
            return Answer(response.status, json.loads(found) if found else {})
        finally:
            connection.close()

    def new_thread(self) -> int:
        """Begins a thread of a test's own; returns its id."""
        answer = self.call("POST", "/api/threads/", {"title": "A thread for a test"})
        assert answer.status == 201, answer
        return int(answer.body["id"])

    def say(self, thread: int, text: str) -> int:
        """Posts a comment; returns its id."""
        answer = self.call(
            "POST", f"/api/threads/{thread}/comments/", {"author": "Ada", "text": text}
        )
        assert answer.status == 201, answer
        return int(answer.body["id"])


class Reader:
    """Reads a thread's stream in a thread of its own, and comes back as a browser does."""

    def __init__(self, system: System, thread: int, last_event_id: str = "") -> None:
        self.events: list[ReceivedEvent] = []
        self.connects = 0
        self.client = EventSourceClient(
            f"{system.gateway}/sub/thread:{thread}", last_event_id, timeout_seconds=5
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(
            lambda: self.client.last_event_id or self.events, DEADLINE_SECONDS, "the reader is on"
        )

    def texts(self) -> list[str]:
        """The texts received, in order."""
        return [json.loads(event.data).get("text", "") for event in self.events]

    def close(self) -> None:
        """Ends the reading."""
        self._stop.set()
        self._thread.join(DEADLINE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.client.connected:
                    self.connects += 1
                    self.events += self.client.connect()
                else:
                    self.events += self.client.read(0.2)
            except TimeoutError:
                continue
            except (OSError, EventSourceError):
                # The server is away for a moment; `retry` of the stream is for browsers.
                self._stop.wait(0.1)
        self.client.close()


@contextmanager
def running_system(state: Path, environment: Mapping[str, str] | None = None) -> Iterator[System]:
    """A system of its own, which leaves nothing behind."""
    run = StartedRun(state, (sys.executable, "-m", "stack.run"), environment)
    try:
        run.wait_until_ready(150)
        yield System(run)
        run.child.terminate()
        assert run.child.wait(60) == 0, run.said
        assert run.processes() == set(), "a process outlived the run"
    finally:
        run.end()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests; each takes a thread of its own."""
    with running_system(tmp_path_factory.mktemp("run") / "state") as system:
        yield system


@pytest.fixture
def read(system: System) -> Iterator[Callable[..., Reader]]:
    """Starts readers, and ends them with the test."""
    readers: list[Reader] = []

    def start(thread: int, last_event_id: str = "") -> Reader:
        readers.append(Reader(system, thread, last_event_id))
        return readers[-1]

    yield start
    for reader in readers:
        reader.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. It ends with the module: while it is there, an event loop runs in this
    thread, and Django refuses to open a database beside one."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    """A gateway under the test's control."""
    with ScriptedGateway() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser's profile: its pages are tabs that may share."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def page(context: BrowserContext, gateway: ScriptedGateway) -> Page:
    """An empty page of the scripted gateway's origin."""
    page = context.new_page()
    page.goto(gateway.url)
    return page
