"""Each thing that a link can do, tried on bare sockets, on Redis, PostgreSQL and a gateway."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pushgate.connection import connect
from pushgate.keys import Keys
from stack.errors import StackError
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.postgres_server import PostgresServer
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.faults.breaking.condition import LinkMisuse
from tests.faults.breaking.links import Links

DEADLINE_SECONDS = 20.0


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Links]:
    with Links(tmp_path_factory.mktemp("links"), seed=7) as links:
        yield links


@pytest.fixture
def redis_link(links: Links, redis_server: RedisServer) -> Iterator[tuple[str, int]]:
    """A link of its own to Redis: its name and port."""
    port = free_port()
    name = f"redis at {port}"
    links.add(name, listen=port, to=int(redis_server.url.rpartition(":")[2].partition("/")[0]))
    yield name, port
    links.set(name, "cut")


@contextmanager
def client_at(port: int, answer_seconds: float = DEADLINE_SECONDS) -> Iterator[redis.Redis]:
    """A client that says at once what became of a command, instead of sending it again."""
    with redis.Redis(
        port=port,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=answer_seconds,
        single_connection_client=True,
    ) as client:
        yield client


class Sink:
    """A server that sends each connection the same and keeps what it gets."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.port = free_port()
        self.sent = 0
        self.connections: list[socket.socket] = []
        self._greeting = greeting
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
                threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        with suppress(OSError):
            for at in range(0, len(self._greeting), 65_536):
                connection.sendall(self._greeting[at : at + 65_536])
                self.sent += len(self._greeting[at : at + 65_536])

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()
        self._thread.join(DEADLINE_SECONDS)


@pytest.fixture
def sink(links: Links) -> Iterator[Callable[[bytes], tuple[Sink, str, int]]]:
    """Starts a server behind a link; returns it with the link's name and port."""
    sinks: list[Sink] = []
    names: list[str] = []

    def start(greeting: bytes = b"") -> tuple[Sink, str, int]:
        sinks.append(Sink(greeting))
        port = free_port()
        names.append(f"sink at {port}")
        links.add(names[-1], listen=port, to=sinks[-1].port)
        return sinks[-1], names[-1], port

    yield start
    for name in names:
        links.set(name, "cut")
    for each in sinks:
        each.close()


def joined(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS)


@contextmanager
def all_of(sockets: Iterator[socket.socket]) -> Iterator[list[socket.socket]]:
    opened: list[socket.socket] = []
    try:
        opened.extend(sockets)
        yield opened
    finally:
        for each in opened:
            each.close()


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


# What is passed on


def test_a_link_passes_everything_on_in_both_directions(
    redis_link: tuple[str, int], redis_namespace: str
) -> None:
    value = bytes(range(256)) * 20_000
    with client_at(redis_link[1]) as client:
        client.set(redis_namespace, value)
        assert client.get(redis_namespace) == value
        client.delete(redis_namespace)


def test_hundreds_of_connections_pass_at_once(links: Links, sink) -> None:
    server, name, port = sink(b"hello")
    with all_of(joined(port) for _ in range(400)) as connections:
        assert all(connection.recv(5) == b"hello" for connection in connections)
        assert links.counts(name).open == 400
    assert len(server.connections) == 400
    for connection in server.connections:
        connection.close()
    wait_until(lambda: not links.counts(name).open, DEADLINE_SECONDS, "all are gone")


def test_a_half_closed_connection_still_brings_the_answer(sink) -> None:
    server, _, port = sink()
    with closing(joined(port)) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: server.connections, DEADLINE_SECONDS, "it is connected")
        assert read_all(server.connections[0]) == b"question"
        server.connections[0].sendall(b"answer")
        server.connections[0].close()
        assert read_all(client) == b"answer"


def test_who_reads_slowly_still_holds_the_sender_up(sink) -> None:
    size = 64 * 1024 * 1024
    server, _, port = sink(b"x" * size)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(DEADLINE_SECONDS)
        client.connect(("127.0.0.1", port))
        sent = [-1]

        def stands_still() -> bool:
            sent.append(server.sent)
            return sent[-1] > 0 and len(sent) > 10 and len(set(sent[-10:])) == 1

        wait_until(stands_still, DEADLINE_SECONDS, "the sender waits", every_seconds=0.05)
        assert server.sent < 2 * 1024 * 1024


def test_a_part_that_is_not_there_resets_who_comes(links: Links) -> None:
    port = free_port()
    links.add(f"nobody behind {port}", listen=port, to=free_port())
    # The reset may come before the connect is through.
    with pytest.raises(ConnectionResetError), closing(joined(port)) as client:
        client.recv(1)


# What goes wrong


def test_a_slow_link_is_late_and_loses_nothing(sink, links: Links) -> None:
    server, name, port = sink(b"y" * 30_000)
    links.set(name, "slow", latency_seconds=0.2, jitter_seconds=0.05, bytes_per_second=100_000)
    began = time.monotonic()
    with closing(joined(port)) as client:
        got = 0
        while got < 30_000:
            got += len(client.recv(65_536))
        # At the soonest; how much later depends on the machine.
        assert time.monotonic() - began > 0.2 + 0.3
        links.heal(name)
        client.sendall(b"z" * 1000)
        wait_until(lambda: server.connections, DEADLINE_SECONDS, "it is connected")
        server.connections[0].settimeout(DEADLINE_SECONDS)
        assert server.connections[0].recv(1000) == b"z" * 1000


def test_what_a_slow_link_holds_back_arrives_once_it_heals(
    redis_link: tuple[str, int], links: Links
) -> None:
    name, port = redis_link
    with closing(joined(port)) as client:
        links.set(name, "slow", latency_seconds=3600)
        client.sendall(b"PING\r\n")
        links.heal(name)
        assert client.recv(100) == b"+PONG\r\n"


def test_a_cut_resets_who_is_there_and_refuses_who_comes(
    redis_link: tuple[str, int], links: Links
) -> None:
    name, port = redis_link
    with closing(joined(port)) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
        links.set(name, "cut")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        joined(port)
    links.heal(name)
    with client_at(port) as again:
        assert again.ping()


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing comes, and no end either, for a moment."""
    connection.settimeout(0.2)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(DEADLINE_SECONDS)
    return False


def greeted(port: int) -> socket.socket:
    """A connection to Redis that has been answered once."""
    connection = joined(port)
    connection.sendall(b"PING\r\n")
    assert connection.recv(100) == b"+PONG\r\n"
    return connection


def test_a_half_open_link_says_nothing_and_resets_once_it_heals(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    with closing(greeted(port)) as client, closing(greeted(port)) as other:
        links.set(name, "half_open")
        with closing(joined(port)) as newcomer:
            for each in (client, newcomer):
                each.sendall(f"SET {redis_namespace} never\r\n".encode())
            assert all(map(is_silent, (client, other, newcomer)))
            links.heal(name)
            for each in (client, other, newcomer):
                with pytest.raises(ConnectionResetError):
                    each.recv(1)
    assert redis_client.get(redis_namespace) is None


def test_on_a_link_that_passes_requests_alone_a_command_is_done_and_never_answered(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    with closing(greeted(port)) as client:
        links.set(name, "one_way", passes="requests")
        client.sendall(f"SET {redis_namespace} done\r\n".encode())
        wait_until(lambda: redis_client.get(redis_namespace), DEADLINE_SECONDS, "it is done")
        assert is_silent(client)
        links.heal(name)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    redis_client.delete(redis_namespace)


def test_on_a_link_that_passes_replies_alone_what_is_subscribed_comes_and_no_command_is_done(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    with closing(greeted(port)) as client:
        client.sendall(f"SUBSCRIBE {redis_namespace}\r\n".encode())
        assert b"subscribe" in client.recv(1000)
        links.set(name, "one_way", passes="replies")
        client.sendall(b"PING\r\n")
        assert is_silent(client)
        redis_client.publish(redis_namespace, "news")
        assert b"news" in client.recv(1000)


def test_a_lost_reply_leaves_the_command_done_and_the_client_in_doubt(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    for _ in range(4):
        with client_at(port) as client:
            client.ping()
            links.set(name, "lose_replies", count=1)
            with pytest.raises(redis.ConnectionError):
                client.incr(redis_namespace)
    assert redis_client.getdel(redis_namespace) == b"4"
    assert links.counts(name).struck == 4
    with client_at(port) as client:
        assert client.ping()


def test_a_request_in_many_pieces_arrives_whole_before_its_reply_is_lost(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    with client_at(port) as client:
        links.set(name, "lose_replies", containing="APPEND")
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(200):
                pipeline.append(redis_namespace, b"x" * 10_000)
            with pytest.raises(redis.ConnectionError):
                pipeline.execute()
    wait_until(
        lambda: redis_client.strlen(redis_namespace) == 2_000_000, DEADLINE_SECONDS, "all is there"
    )
    redis_client.delete(redis_namespace)


def test_a_lost_request_is_not_done(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    with client_at(port) as client:
        client.ping()
        links.set(name, "lose_requests", containing="INCR")
        assert client.ping()
        with pytest.raises(redis.ConnectionError):
            client.incr(redis_namespace)
    assert redis_client.get(redis_namespace) is None


def test_a_truncated_reply_ends_in_its_middle(
    redis_link: tuple[str, int], links: Links, redis_client: redis.Redis, redis_namespace: str
) -> None:
    name, port = redis_link
    redis_client.set(redis_namespace, "w" * 1000)
    with closing(joined(port)) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
        links.set(name, "truncate", containing="GET")
        client.sendall(f"GET {redis_namespace}\r\n".encode())
        got = read_all(client)
        assert b"$1000\r\n".startswith(got[:7])
        assert 0 < len(got) < 1000 + len("$1000\r\n\r\n")
    links.set(name, "truncate")
    # It is the answer to the first word that is cut off.
    with pytest.raises(redis.ConnectionError), client_at(port):
        pass
    assert redis_client.getdel(redis_namespace) == b"w" * 1000


def test_a_splitting_link_brings_the_same_bytes_in_small_pieces(sink, links: Links) -> None:
    server, name, port = sink()
    links.set(name, "split")
    sent = os.urandom(20_000)
    with closing(joined(port)) as client:
        client.sendall(sent)
        wait_until(lambda: server.connections, DEADLINE_SECONDS, "it is connected")
        pieces: list[bytes] = []
        while sum(map(len, pieces)) < len(sent):
            pieces.append(server.connections[0].recv(65_536))
    assert b"".join(pieces) == sent
    assert len(pieces) > 1


# What stands behind it


@pytest.fixture(scope="module")
def postgres(links: Links, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL behind a link named `postgres`; how to connect through it."""
    folder = tmp_path_factory.mktemp("pg")
    server = PostgresServer()
    try:
        server.start()
        links.add("postgres", listen=folder / ".s.PGSQL.5432", to=server.socket)
        yield f"host={folder} user={server.user} dbname=postgres connect_timeout=20"
    finally:
        server.stop()


def test_a_commit_whose_answer_is_lost_has_happened(links: Links, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE TABLE doubts (name text)")
    doubtful = psycopg.connect(postgres)
    doubtful.execute("INSERT INTO doubts VALUES ('lost answer')")
    links.set("postgres", "lose_replies", containing="COMMIT")
    with pytest.raises(psycopg.OperationalError):
        doubtful.commit()
    doubtful = psycopg.connect(postgres)
    doubtful.execute("INSERT INTO doubts VALUES ('lost question')")
    links.set("postgres", "lose_requests", containing="COMMIT")
    with pytest.raises(psycopg.OperationalError):
        doubtful.commit()
    links.heal("postgres")
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT name FROM doubts").fetchall() == [("lost answer",)]


def test_a_cut_of_a_unix_socket_heals(links: Links, postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        links.set("postgres", "cut")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres)
    links.heal("postgres")
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stream_that_is_truncated_goes_on_where_it_was(
    links: Links, redis_server: RedisServer, redis_namespace: str, tmp_path: Path
) -> None:
    port = free_port()
    gateway = Gateway(
        Platform.find(),
        tmp_path / "g",
        GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=redis_server.url,
            namespace=redis_namespace,
            workers="1",
        ),
    )
    gateway.start()
    try:
        links.add("readers", listen=port, to=int(gateway.settings.listen.rpartition(":")[2]))
        with closing(joined(port)) as stream:
            stream.sendall(b"GET /sub/thread:1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = b""
            while b"id: " not in head:
                head += stream.recv(65_536)
            links.set("readers", "truncate")
            published = gateway.private("POST", "/pub?id=thread:1", b'{"text":"hello"}')
            assert published.status == 200
            rest = read_all(stream)
        assert b"}\n\n" not in rest
        assert links.counts("readers").struck == 1
    finally:
        gateway.stop()
        with connect(redis_server.url) as client:
            client.delete(*client.keys(f"{Keys(redis_namespace).log.rpartition(':')[0]}*"))


# The process


def test_links_end_with_the_process_that_has_them(tmp_path: Path) -> None:
    with Links(tmp_path, seed=1) as own:
        pid = own.pid
        os.kill(pid, 0)
        assert own._connection is not None
        own._connection.close()
        wait_until(lambda: not own._process.running, DEADLINE_SECONDS, "the process has ended")


def test_it_says_so_when_the_process_is_gone(tmp_path: Path) -> None:
    with Links(tmp_path, seed=1) as own:
        os.kill(own.pid, signal.SIGKILL)
        with pytest.raises(StackError, match="the links' process has ended"):
            own.counts("redis")


@pytest.mark.parametrize(
    ("mode", "options", "sentence"),
    [
        ("sulk", {}, 'mode "sulk" is not known'),
        ("cut", {"count": 1}, 'option "count" means nothing to cut; it has none'),
        ("one_way", {"passes": "both"}, 'passes "both": use requests or replies'),
    ],
)
def test_a_misuse_is_one_sentence(links: Links, mode: str, options, sentence: str) -> None:
    with pytest.raises(LinkMisuse, match=sentence):
        links.set("redis", mode, **options)
    with pytest.raises(LinkMisuse, match='link "nowhere" is not known'):
        links.heal("nowhere")
