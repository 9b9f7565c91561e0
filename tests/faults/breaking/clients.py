"""Clients that come all at once and behave badly, for a few seconds."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from stack.errors import StackError
from stack.platform import REPOSITORY
from stack.process import Process, tail, wait_until

KINDS = ("reads", "never_reads", "half_a_request", "leaves", "asks_nonsense")
"""What a client of a flood is like, drawn at random:

`reads`: subscribes and takes what comes; `never_reads`: subscribes and takes nothing;
`half_a_request`: stops in the middle of one; `leaves`: resets the connection when it has sent the
request; `asks_nonsense`: what the gateway must refuse.
"""

_CONNECT_SECONDS = 5.0
_STOP_SECONDS = 10.0
_SMALL_BUFFER = 4096
"""How much the kernel keeps of a stream for who does not read; it doubles that."""


@dataclass(frozen=True, slots=True)
class FloodSettings:
    """A flood.

    Attributes:
        port: of 127.0.0.1.
        path: what most of them ask for.
        clients: so many at a time; who is through comes again. As many descriptors are used.
        seconds: how long.
        seed: decides who is what, when each comes and how long it stays.
    """

    port: int
    path: str
    clients: int = 300
    seconds: float = 3.0
    seed: int = 1


@dataclass(slots=True)
class FloodCount:
    """What became of a flood.

    Attributes:
        kinds: how many clients of each kind there were.
        answers: status -> how often; of those that read an answer at all.
        refused: connections that the server did not take, or that were not made in time.
        unanswered: clients that waited for an answer and got none.
        cut: streams that the server ended.
        bytes_read: all that was read.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    unanswered: int = 0
    cut: int = 0
    bytes_read: int = 0

    @property
    def clients(self) -> int:
        """How many there were in all."""
        return self.kinds.total()


class Flood:
    """A flood in a process of its own, which ends by itself; and with us.

    Args:
        directory: for what it says in the end.
    """

    def __init__(self, directory: Path, settings: FloodSettings, name: str = "flood") -> None:
        self.settings = settings
        self._result = directory / f"{name}.json"
        self._process = Process(
            name,
            (
                *(sys.executable, "-m", "tests.faults.breaking.clients"),
                *(str(self._result), json.dumps(asdict(settings))),
            ),
            log=directory / f"{name}.log",
            directory=REPOSITORY,
        )

    def start(self) -> None:
        """Let them come."""
        self._result.unlink(missing_ok=True)
        self._process.start()

    def wait(self) -> FloodCount:
        """Return what became of it, when it is over.

        Raises:
            StackError: its process failed or did not end.
        """
        deadline_seconds = self.settings.seconds + 2 * _STOP_SECONDS + 20
        try:
            wait_until(lambda: not self._process.running, deadline_seconds, "the flood is over")
        finally:
            self._process.stop()
        if not self._result.exists():
            raise StackError(f"the flood failed; its log ends: {tail(self._process.log)}")
        said = json.loads(self._result.read_text(encoding="utf-8"))
        said["kinds"], said["answers"] = Counter(said["kinds"]), Counter(said["answers"])
        return FloodCount(**said)


async def flood(settings: FloodSettings) -> FloodCount:
    """Make one and return what became of it."""
    chance = random.Random(settings.seed)
    count = FloodCount()
    ends_at = asyncio.get_running_loop().time() + settings.seconds
    clients = [
        asyncio.create_task(_come_again(settings, random.Random(chance.random()), count, ends_at))
        for _ in range(settings.clients)
    ]
    _, late = await asyncio.wait(clients, timeout=settings.seconds + _STOP_SECONDS)
    for task in late:
        task.cancel()
    for done in await asyncio.gather(*clients, return_exceptions=True):
        if isinstance(done, Exception):
            raise done
    return count


async def _come_again(
    settings: FloodSettings, chance: random.Random, count: FloodCount, ends_at: float
) -> None:
    loop = asyncio.get_running_loop()
    while (left := ends_at - loop.time()) > 0:
        kind = chance.choice(KINDS)
        stays = min(left, chance.uniform(0.05, max(0.1, settings.seconds / 2)))
        count.kinds[kind] += 1
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await loop.sock_connect(connection, ("127.0.0.1", settings.port))
            except (OSError, TimeoutError):
                count.refused += 1
                # So that a part that is down does not keep us from doing anything else.
                await asyncio.sleep(min(stays, 0.1))
                continue
            try:
                await _be(kind, connection, settings.path, chance, count, stays)
            except OSError:
                count.cut += 1


async def _be(
    kind: str,
    connection: socket.socket,
    path: str,
    chance: random.Random,
    count: FloodCount,
    stays: float,
) -> None:
    loop = asyncio.get_running_loop()
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    if kind == "asks_nonsense":
        request = chance.choice(_NONSENSE)
    elif kind == "half_a_request":
        request = request[: chance.randrange(1, len(request))]
    await loop.sock_sendall(connection, request)
    if kind in ("reads", "asks_nonsense"):
        await _read(connection, count, stays)
    elif kind == "leaves":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    else:
        await asyncio.sleep(stays)


_NONSENSE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no request\r\n\r\n",
    b"GET /sub/Not%20A%20Channel HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"POST /pub?id=thread:1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


async def _read(connection: socket.socket, count: FloodCount, stays: float) -> None:
    """Read what comes as long as this client stays."""
    loop = asyncio.get_running_loop()
    is_answered = False
    try:
        async with asyncio.timeout(stays):
            while data := await loop.sock_recv(connection, 65_536):
                count.bytes_read += len(data)
                if not is_answered:
                    is_answered = True
                    words = data[:64].split(b" ", 2)
                    count.answers[words[1].decode("latin-1") if len(words) > 1 else "none"] += 1
            if is_answered:
                count.cut += 1
    except TimeoutError:
        pass
    finally:
        count.unanswered += not is_answered


def main() -> None:
    """`python -m tests.faults.breaking.clients RESULT SETTINGS`, both as `Flood` has them."""
    result, settings = Path(sys.argv[1]), FloodSettings(**json.loads(sys.argv[2]))
    count = asyncio.run(flood(settings))
    unfinished = result.with_suffix(".unfinished")
    said = {each.name: getattr(count, each.name) for each in fields(count)}
    unfinished.write_text(json.dumps(said), encoding="utf-8")
    unfinished.rename(result)


if __name__ == "__main__":
    main()
