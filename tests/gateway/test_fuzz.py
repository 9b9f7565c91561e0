"""Tens of thousands of almost right requests, and garbage in the log: nothing breaks, nothing gets
into an answer's head or a frame, and the gateway serves as before.

`FUZZ_REQUESTS=200000 pytest tests/gateway/test_fuzz.py` looks longer; `FUZZ_SEED` begins elsewhere.
"""

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from stack.gateway import Gateway
from stack.platform import Platform
from tests.gateway.conftest import ORIGIN, LogWriter, OwnGateway
from tests.gateway.odd_requests import WATCHED, OddConnection, odd_connection
from tests.gateway.scrutiny import Scrutiny, check_answers, read_until_quiet
from tests.gateway.tokens import Signer
from tests.gateway.wire import connect

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "20000"))
SEED = int(os.environ.get("FUZZ_SEED", "2014"))

pytestmark = [
    pytest.mark.real_redis,
    pytest.mark.real_gateway,
    pytest.mark.timeout(300 + REQUESTS // 100),
]


@pytest.fixture
def access_log(tmp_path: Path) -> Path:
    """Where the gateway notes each request."""
    return tmp_path / "access.log"


@pytest.fixture
def guarded(own_gateway: OwnGateway, signer: Signer, access_log: Path) -> Iterator[OwnGateway]:
    """A gateway of the test's own that takes tokens, has a site, and notes each request."""
    own_gateway.gateway.stop()
    settings = replace(
        own_gateway.gateway.settings,
        token_keys=signer.path,
        origins=(ORIGIN,),
        more={**own_gateway.gateway.settings.more, "PUSHGATE_ACCESS_LOG": str(access_log)},
    )
    gateway = Gateway(Platform.find(), own_gateway.gateway.directory, settings)
    gateway.start()
    try:
        yield OwnGateway(gateway, own_gateway.redis_server, LogWriter(gateway))
    finally:
        gateway.stop()


@pytest.fixture
def scrutiny(guarded: OwnGateway) -> Iterator[Scrutiny]:
    """Watches that gateway through several subscribers."""
    watched = [(WATCHED,), (WATCHED, "thread:2"), ("thread:3", WATCHED), (WATCHED, "forum:7")]
    looking = Scrutiny(guarded, *watched)
    yield looking
    looking.close()


def send_all(own: OwnGateway, odd: list[OddConnection]) -> dict[int, tuple[socket.socket, bytes]]:
    """Sends what odd clients send, all at once. Returns the connections of those that stay."""
    open_ones = [(client, connect(own.gateway, private=client.private)) for client in odd]
    for number in range(3):
        for client, connection in open_ones:
            if number < len(client.packets):
                try:
                    connection.sendall(client.packets[number])
                except OSError:
                    # It was refused before it had sent all: that is read below.
                    continue
    staying = {}
    for client, connection in open_ones:
        if client.leaves:
            connection.close()
            continue
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        staying[connection.fileno()] = (connection, b"".join(client.packets))
    return staying


def check_all(own: OwnGateway, scrutiny: Scrutiny, odd: list[OddConnection]) -> Counter[int]:
    """Sends what these clients send, and fails unless all is well. Counts answers by status."""
    scrutiny.begin()
    statuses: Counter[int] = Counter()
    for received in read_until_quiet(send_all(own, odd)):
        try:
            statuses.update(answer.status for answer in check_answers(received))
        except AssertionError as error:
            error.add_note(f"sent: {received.sent!r}")
            raise
    scrutiny.check()
    return statuses


def name_the_culprit(
    error: AssertionError, own: OwnGateway, scrutiny: Scrutiny, odd: list[OddConnection]
) -> None:
    """Notes which of the clients does it alone."""
    for client in odd:
        try:
            check_all(own, scrutiny, [client])
        except AssertionError:
            error.add_note(f"it takes this client alone: {client}")
            return


def check_access_log(access_log: Path, answers: int) -> None:
    """Fails unless each line is one object with the fields of all others."""
    lines = access_log.read_text("utf-8", "replace").split("\n")[:-1]
    assert len(lines) > 0.9 * answers
    fields = {tuple(json.loads(line)) for line in lines}
    assert len(fields) == 1, fields


def test_no_request_breaks_the_gateway_or_gets_into_an_answer_or_a_frame(
    guarded: OwnGateway, scrutiny: Scrutiny, signer: Signer, access_log: Path
) -> None:
    token = signer.token("1", ["user:1", "team:*"], exp=int(time.time()) + 40_000).encode()
    statuses: Counter[int] = Counter()
    requests = 0

    # Hypothesis draws a number, of which forty clients are made: of its own draws for each of them
    # most would be the same, and it would take five times as long.
    @seed(SEED)
    @settings(
        max_examples=REQUESTS // 70,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64 - 1))
    def nothing_breaks(number: int) -> None:
        nonlocal requests
        random = Random(number)
        odd = [odd_connection(random, token) for _ in range(40)]
        try:
            statuses.update(check_all(guarded, scrutiny, odd))
        except AssertionError as error:
            name_the_culprit(error, guarded, scrutiny, odd)
            raise
        requests += sum(client.requests for client in odd)

    nothing_breaks()
    print(f"seed {SEED}: {requests} requests, answers {dict(sorted(statuses.items()))}")
    scrutiny.check_that_nothing_is_held()
    check_access_log(access_log, sum(statuses.values()))
    assert requests >= 0.9 * REQUESTS
    assert {200, 204, 400, 401, 403, 404, 405, 413, 414, 431} <= set(statuses)
