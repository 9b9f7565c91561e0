"""A full disk below a real Redis and a real PostgreSQL, and what became of what they confirmed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from stack.errors import StackError
from stack.platform import REPOSITORY, Platform
from stack.postgres_server import KEEPS_COMMITS, PostgresServer
from stack.process import free_port, wait_until
from stack.redis_server import RedisServer
from tests.faults.breaking.disk import Disk, SlowDisks, unmount_leftovers

DEADLINE_SECONDS = 20.0


def mounted() -> str:
    return Path("/proc/mounts").read_text()


# The disk


def test_a_full_disk_takes_nothing_until_it_is_freed() -> None:
    with Disk(2) as disk:
        disk.fill()
        assert disk.free_bytes == 0
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "more").write_bytes(b"x")
        disk.free()
        (disk.folder / "more").write_bytes(b"x" * 1_000_000)


def test_it_is_unmounted_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), Disk(1) as disk, (disk.folder / "open").open("w"):
        raise ZeroDivisionError
    assert str(disk._mounted) not in mounted()


def test_what_a_killed_process_left_is_found_by_its_name() -> None:
    # The own process' disk stays, though another's goes.
    with Disk(1) as disk:
        killed = subprocess.run(
            [
                *(sys.executable, "-c"),
                "import os; from tests.faults.breaking.disk import Disk\n"
                "print(Disk(1).__enter__().folder, flush=True); os.kill(os.getpid(), 9)",
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        left = killed.stdout.strip()
        assert left in mounted()
        unmount_leftovers()
        assert left not in mounted()
        assert not Path(left).exists()
        assert str(disk.folder) in mounted()


# Redis


@pytest.fixture
def redis_disk() -> Iterator[Disk]:
    with Disk(4) as disk:
        yield disk


@pytest.fixture
def server(redis_disk: Disk) -> Iterator[RedisServer]:
    server = RedisServer(Platform.find(), redis_disk.folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def confirmed_until_refused(client: redis.Redis, text: str) -> int:
    """Writes as long as that is confirmed; returns how often it was."""
    for count in range(1000):
        try:
            client.rpush("list", text)
        except redis.ResponseError as error:
            assert "MISCONF" in str(error) and "No space left on device" in str(error)
            return count
    raise AssertionError("nothing was refused")


def test_redis_refuses_writes_while_its_disk_is_full_and_takes_them_again_by_itself(
    redis_disk: Disk, server: RedisServer
) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.rpush("list", "before")
        redis_disk.fill()
        confirmed = 1 + confirmed_until_refused(client, "x" * 5000)
        assert client.llen("list") == confirmed
        redis_disk.free()

        def writes() -> bool:
            try:
                return bool(client.rpush("list", "after"))
            except redis.ResponseError:
                return False

        wait_until(writes, DEADLINE_SECONDS, "redis writes again")
        server.kill()
        server.start()
        assert client.llen("list") == confirmed + 1


def test_a_redis_killed_on_a_full_disk_lacks_what_it_confirmed_last(
    redis_disk: Disk, server: RedisServer
) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.rpush("list", "before")
        redis_disk.fill()
        confirmed = 1 + confirmed_until_refused(client, "x" * 5000)
        server.kill()
        redis_disk.free()
        server.start()
        # The one that it found the disk full with was confirmed all the same.
        assert client.llen("list") == confirmed - 1


def test_a_redis_killed_on_a_slow_disk_lacks_what_it_confirmed_meanwhile(tmp_path: Path) -> None:
    platform = Platform.find()
    disks = SlowDisks(tmp_path / "disks")
    settings = (f"{name}={value}" for name, value in disks.environment("redis").items())
    server = RedisServer(
        platform,
        tmp_path / "r",
        free_port(),
        server_command=("env", *settings, *platform.redis_server_command),
    )
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:

            def waits_for_the_disk() -> bool:
                client.rpush("list", "x")
                return bool(client.info("persistence")["aof_buffer_length"])

            disks.set("redis", 3600)
            wait_until(waits_for_the_disk, DEADLINE_SECONDS, "confirmed writes wait in memory")
            confirmed = client.llen("list")
            server.kill()
            disks.set("redis", 0)
            server.start()
            assert client.llen("list") < confirmed
    finally:
        disks.set("redis", 0)
        server.stop()


# PostgreSQL


@pytest.fixture(scope="module")
def postgres_disk() -> Iterator[Disk]:
    with Disk(100, owner="postgres" if os.geteuid() == 0 else None) as disk:
        yield disk


@pytest.fixture(scope="module")
def postgres(postgres_disk: Disk) -> Iterator[PostgresServer]:
    server = PostgresServer(data=postgres_disk.folder / "data", settings=KEEPS_COMMITS)
    try:
        server.start()
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE notes (name text, text text)")
        yield server
    finally:
        server.stop()


def note(server: PostgresServer, name: str, text: str = "") -> None:
    with psycopg.connect(server.url()) as connection:
        connection.execute("INSERT INTO notes VALUES (%s, %s)", (name, text))


def notes(server: PostgresServer, name: str) -> int:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT count(*) FROM notes WHERE name = %s", (name,)).fetchone()
        assert row is not None
        return int(row[0])


def until_refused(write: Callable[[], object]) -> tuple[int, psycopg.Error]:
    """Writes until that fails; returns how often it did not, and why it did."""
    for count in range(10_000):
        try:
            write()
        except psycopg.Error as error:
            return count, error
    raise AssertionError("nothing was refused")


def test_postgres_refuses_what_needs_room_and_takes_it_again_at_once(
    postgres: PostgresServer, postgres_disk: Disk
) -> None:
    postgres_disk.fill()
    confirmed, error = until_refused(lambda: note(postgres, "room", os.urandom(3000).hex()))
    assert isinstance(error, psycopg.errors.DiskFull)
    assert postgres.running
    assert notes(postgres, "room") == confirmed
    postgres_disk.free()
    note(postgres, "room", "x" * 3000)
    assert notes(postgres, "room") == confirmed + 1


def test_postgres_ends_when_its_log_finds_no_room_and_comes_back_with_all_it_confirmed(
    postgres: PostgresServer, postgres_disk: Disk
) -> None:
    def write_the_log_alone() -> None:
        with psycopg.connect(postgres.url()) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 1000000))")

    note(postgres, "log")
    postgres_disk.fill()
    until_refused(write_the_log_alone)
    wait_until(lambda: not postgres.running, DEADLINE_SECONDS, "PostgreSQL has given up")
    with pytest.raises(StackError):
        postgres.start()
    postgres_disk.free()
    postgres.start()
    note(postgres, "log")
    assert notes(postgres, "log") == 2


def test_a_killed_postgres_comes_back_with_all_it_confirmed(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url()) as idle:
        for _ in range(3):
            for _ in range(50):
                note(postgres, "killed")
            postgres.kill()
            assert not postgres.running
            postgres.start()
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")
    assert notes(postgres, "killed") == 150
