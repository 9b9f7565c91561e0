"""A real gateway on a real Redis, something that appends to its log, and subscribers."""

import itertools
import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtest.eventsource import EventSourceClient, ReceivedEvent
from pushgate.connection import connect
from pushgate.keys import Keys
from pushgate.log import HISTORY_LENGTH, HISTORY_SECONDS, LOG_LENGTH, RedisLog
from pushgate.scripts import Script, script_text
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.gateway.tokens import Signer

ENGINES = ("push_stream",)
"""All tests of this folder hold for each of them, but for those in a folder named after one."""
ORIGIN = "http://site.example"
DEADLINE_SECONDS = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What belongs to one engine is not run on another."""
    items[:] = [item for item in items if is_of_its_engine(item)]


def is_of_its_engine(item: pytest.Item) -> bool:
    """Whether the test lies in no other engine's folder than that of the one it would run on."""
    folder = item.path.parent.name
    chosen = getattr(item, "callspec", None)
    engine = chosen.params.get("engine") if chosen else None
    return folder not in ENGINES or engine in (None, folder)


class LogWriter:
    """Appends frames straight to a gateway's log, as the formatter's last step does."""

    answer_seconds = 10.0

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.client = connect(gateway.settings.redis_url, answer_seconds=self.answer_seconds)
        self.keys = Keys(gateway.settings.namespace)
        self.log = RedisLog(self.client, self.keys)
        self._publish = Script(self.client, "publish")
        self._numbers = itertools.count(1)
        self._loaded = ""

    def append(self, *channels: str, history_length: int = HISTORY_LENGTH, **data: object) -> str:
        """Appends one frame and returns its cursor. Its data has a growing `n` unless given."""
        data.setdefault("n", next(self._numbers))
        event_id = uuid.uuid4().hex
        line = json.dumps({"event_id": event_id, "object": "t:1", "version": 1, "at": "", **data})
        entry_id = self._publish(
            [
                self.keys.log,
                self.keys.ledger,
                self.keys.put(event_id),
                *(self.keys.channel(name) for name in channels),
            ],
            [
                " ".join(channels),
                f"event: test.happened\ndata: {line}\n\n",
                history_length,
                HISTORY_SECONDS,
                LOG_LENGTH,
                3600,
            ],
        )
        return f"{self.epoch()}.{entry_id.decode()}"

    def append_many(self, frames: Sequence[tuple[str, ...]]) -> None:
        """Appends a frame to each of the tuples of channels, fast, with histories that keep all."""
        text = script_text("publish")
        with self.client.pipeline(transaction=False) as together:
            digest = self._digest(text)
            for channels in frames:
                event_id = uuid.uuid4().hex
                kind = "last" if channels[0].endswith("last") else "usual"
                together.evalsha(
                    digest,
                    3 + len(channels),
                    self.keys.log,
                    self.keys.ledger,
                    self.keys.put(event_id),
                    *(self.keys.channel(name) for name in channels),
                    " ".join(channels),
                    f'event: test.happened\ndata: {{"event_id":"{event_id}","kind":"{kind}"}}\n\n',
                    100_000,
                    HISTORY_SECONDS,
                    1_000_000,
                    3600,
                )
            together.execute()

    def _digest(self, text: str) -> str:
        if not self._loaded:
            self._loaded = str(self.client.script_load(text))
        return self._loaded

    def entries(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every entry of the log: its cursor and its channels."""
        epoch = self.epoch()
        return [
            (f"{epoch}.{entry.entry_id}", entry.channels) for entry in self.log.after("0-0", 10**6)
        ]

    def wait_until_followed(self) -> str:
        """Returns the log's end once the gateway has handed over everything up to there.

        Who connects without a cursor begins where the gateway is, which may be a moment behind.
        """
        now = self.now()
        wait_until(
            lambda: self._gateway.private("GET", "/readyz").body.decode() == f"ready at {now}\n",
            DEADLINE_SECONDS,
            f"the gateway is at {now}",
        )
        return now

    def wait_until_followed_past(self, cursor: str) -> None:
        """Returns when the gateway has handed over the entry at `cursor`, while more come."""

        def place(text: str) -> tuple[int, int]:
            ms, _, seq = text.partition(".")[2].partition("-")
            return int(ms), int(seq)

        def is_past() -> bool:
            answer = self._gateway.private("GET", "/readyz")
            at = answer.body.decode().rpartition(" ")[2].strip()
            return answer.status == 200 and place(at) >= place(cursor)

        wait_until(is_past, DEADLINE_SECONDS, f"the gateway is past {cursor}")

    def wait_until_on_disk(self) -> None:
        """Returns when a killed Redis would come back with all that this client wrote.

        While the disk is slow, Redis answers before it has even written to the file.
        """
        ask: Any = self.client.execute_command
        synced = ask("WAITAOF", 1, 0, int(DEADLINE_SECONDS * 1000))
        assert synced[0] == 1

    def epoch(self) -> str:
        """The log's epoch."""
        return self.log.cursor().epoch

    def now(self) -> str:
        """Where the log ends."""
        return str(self.log.cursor())


class Subscriber:
    """An EventSource that keeps what it got."""

    def __init__(self, client: EventSourceClient) -> None:
        self.client = client
        self.events: list[ReceivedEvent] = []

    def connect(self) -> "Subscriber":
        """Connects and returns when the prologue is there."""
        self.events += self.client.connect()
        while self.client.connected and self.client.parser.blocks == 0:
            self.events += self.client.read(DEADLINE_SECONDS)
        return self

    def wait_for(self, count: int) -> list[ReceivedEvent]:
        """Returns the first `count` events; fails when they do not come."""
        until = time.monotonic() + DEADLINE_SECONDS
        while len(self.events) < count and self.client.connected and time.monotonic() < until:
            with suppress(TimeoutError):
                self.events += self.client.read(1)
        assert len(self.events) >= count, f"{len(self.events)} of {count} events came"
        return self.events[:count]

    def wait_until_ended(self) -> None:
        """Returns when the response has ended."""
        self.events += self.client.events(DEADLINE_SECONDS)
        assert not self.client.connected

    def numbers(self) -> list[int]:
        """The `n` of the frames so far."""
        return [json.loads(event.data)["n"] for event in self.events if event.type != "reset"]


@dataclass
class RawAnswer:
    """An HTTP answer read as it comes."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    gateway: Gateway, method: str, target: str, headers: Mapping[str, str] | None = None
) -> RawAnswer:
    """Sends one request to the public listener, byte for byte, and reads the answer to its end."""
    host, _, port = gateway.settings.listen.rpartition(":")
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        received = b""
        while data := connection.recv(65536):
            received += data
    head, _, body = received.partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in others)
    answered = {name.lower(): value.strip() for name, _, value in pairs}
    return RawAnswer(int(first.split(" ")[1]), answered, body)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """What the gateways fan out with."""
    return str(request.param)


@pytest.fixture(scope="session")
def gateway(
    engine: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway with two workers for all tests that leave it as it is."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"gateway-{uuid.uuid4().hex[:8]}",
        origins=(ORIGIN,),
        workers="2",
        engine=engine,
        more={
            "PUSHGATE_RETRY_MIN_MS": "200",
            "PUSHGATE_RETRY_MAX_MS": "400",
            "PUSHGATE_POLL_SECONDS": "1",
        },
    )
    shared = Gateway(Platform.find(), tmp_path_factory.mktemp("gateway"), settings)
    shared.start()
    try:
        yield shared
    finally:
        shared.stop()


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    """Signs the tokens that `guarded_gateway` takes."""
    made = Signer(tmp_path_factory.mktemp("keys") / "keys.json")
    made.write()
    return made


@pytest.fixture(scope="session")
def guarded_gateway(
    engine: str,
    redis_server: RedisServer,
    signer: Signer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway that takes tokens, for all tests that leave it and its keys as they are."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=redis_server.url,
        namespace=f"guarded-{uuid.uuid4().hex[:8]}",
        origins=(ORIGIN,),
        workers="2",
        engine=engine,
        token_keys=signer.path,
        more={"PUSHGATE_RETRY_MIN_MS": "50", "PUSHGATE_RETRY_MAX_MS": "100"},
    )
    shared = Gateway(Platform.find(), tmp_path_factory.mktemp("guarded"), settings)
    shared.start()
    try:
        yield shared
    finally:
        shared.stop()


@pytest.fixture
def log(gateway: Gateway) -> LogWriter:
    """Appends to the shared gateway's log."""
    return LogWriter(gateway)


@pytest.fixture
def channel() -> str:
    """A public channel that no other test uses."""
    return f"thread:{uuid.uuid4().hex[:12]}"


Subscribe = Callable[..., Subscriber]
SubscriberOf = Callable[..., Subscriber]


@pytest.fixture
def subscriber_of() -> Iterator[Callable[..., Subscriber]]:
    """Makes subscribers of any gateway; closes them at the end."""
    made: list[Subscriber] = []

    def make(
        gateway: Gateway, channels: str | Sequence[str], cursor: str = "", query: str = ""
    ) -> Subscriber:
        path = channels if isinstance(channels, str) else "/".join(channels)
        url = f"{gateway.url}/sub/{path}{query}"
        made.append(Subscriber(EventSourceClient(url, cursor)))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.client.close()


@pytest.fixture
def subscribe(gateway: Gateway, subscriber_of: Callable[..., Subscriber]) -> Subscribe:
    """Connects a subscriber of the shared gateway: `subscribe(channels, cursor="", query="")`."""

    def connect(channels: str | Sequence[str], cursor: str = "", query: str = "") -> Subscriber:
        return subscriber_of(gateway, channels, cursor, query).connect()

    return connect


@dataclass
class OwnGateway:
    """A gateway of a test's own, which it may break, with its Redis and its log."""

    gateway: Gateway
    redis_server: RedisServer
    log: LogWriter

    def client(self, channels: str, cursor: str = "") -> EventSourceClient:
        """A client of this gateway, not connected yet."""
        return EventSourceClient(f"{self.gateway.url}/sub/{channels}", cursor)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that no other test uses."""
    server = RedisServer(Platform.find(), tmp_path / "redis", free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_guarded(
    engine: str, own_redis: RedisServer, signer: Signer, tmp_path: Path
) -> Iterator[Gateway]:
    """A gateway that takes tokens, on `own_redis`, not started."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=own_redis.url,
        workers="2",
        engine=engine,
        token_keys=signer.path,
        more={"PUSHGATE_RETRY_MIN_MS": "50", "PUSHGATE_RETRY_MAX_MS": "100"},
    )
    own = Gateway(Platform.find(), tmp_path / "gateway", settings)
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture
def own_gateway(engine: str, own_redis: RedisServer, tmp_path: Path) -> Iterator[OwnGateway]:
    """A gateway with two workers and a Redis that no other test uses."""
    settings = GatewaySettings(
        listen=f"127.0.0.1:{free_port()}",
        redis_url=own_redis.url,
        workers="2",
        engine=engine,
        more={
            "PUSHGATE_RETRY_MIN_MS": "50",
            "PUSHGATE_RETRY_MAX_MS": "100",
            "PUSHGATE_POLL_SECONDS": "1",
        },
    )
    own = Gateway(Platform.find(), tmp_path / "gateway", settings)
    try:
        own.start()
        yield OwnGateway(own, own_redis, LogWriter(own))
    finally:
        own.stop()


GatewayWith = Callable[..., Gateway]


@pytest.fixture
def gateway_with(
    engine: str, redis_server: RedisServer, tmp_path: Path
) -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of a test's own on the shared Redis: `gateway_with(PUSHGATE_...="...")`."""
    started: list[Gateway] = []

    def start(**more: str) -> Gateway:
        settings = GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=redis_server.url,
            namespace=f"gateway-{uuid.uuid4().hex[:8]}",
            workers="2",
            engine=engine,
            more=more,
        )
        started.append(Gateway(Platform.find(), tmp_path / f"gateway{len(started)}", settings))
        started[-1].start()
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()
