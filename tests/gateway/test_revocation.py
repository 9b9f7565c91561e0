"""A token that was revoked opens nothing, and a stream that it opened ends."""

import os
import signal
import time
import uuid

import pytest
import redis

from pushgate.keys import Keys
from pushgate.revocation import RedisRevocations
from stack.gateway import Gateway
from stack.process import wait_until
from stack.redis_server import RedisServer
from tests.gateway.conftest import DEADLINE_SECONDS, LogWriter, Subscriber, SubscriberOf, ask
from tests.gateway.polling_client import PollingClient
from tests.gateway.tokens import Signer, begin

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]


def revocations_of(gateway: Gateway) -> RedisRevocations:
    client = redis.Redis.from_url(gateway.settings.redis_url, socket_timeout=10)
    return RedisRevocations(client, Keys(gateway.settings.namespace))


@pytest.fixture
def user() -> str:
    """A user whom no other test knows."""
    return uuid.uuid4().hex[:12]


def refused(gateway: Gateway, channels: str, token: str) -> bool:
    status, body = begin(gateway, f"/sub/{channels}?token={token}")
    assert status in (200, 401), body
    return status == 401


def wait_until_refused(gateway: Gateway, channels: str, token: str) -> None:
    wait_until(
        # Both workers know of it at once.
        lambda: refused(gateway, channels, token),
        DEADLINE_SECONDS,
        "the revocation arrives",
    )
    assert all(refused(gateway, channels, token) for _ in range(8))


def test_a_users_streams_end_and_the_user_gets_no_new_one_by_the_old_token(
    guarded_gateway: Gateway, signer: Signer, subscriber_of: SubscriberOf, user: str
) -> None:
    token = signer.token(user, [f"user:{user}", "team:*"])
    other = signer.token(f"{user}0", ["team:*"])
    cut = [
        subscriber_of(guarded_gateway, channels, query=f"?token={token}").connect()
        for channels in (f"user:{user}", f"thread:{user}/team:{user}", f"user:{user}")
    ]
    stay = [
        subscriber_of(guarded_gateway, f"team:{user}", query=f"?token={other}").connect(),
        subscriber_of(guarded_gateway, f"thread:{user}", query=f"?token={token}").connect(),
        subscriber_of(guarded_gateway, f"thread:{user}").connect(),
    ]
    revocations_of(guarded_gateway).revoke_user(user)
    for subscriber in cut:
        subscriber.wait_until_ended()
        assert subscriber.events == []
    status, body = begin(guarded_gateway, f"/sub/user:{user}?token={token}")
    assert (status, body) == (401, "the token was revoked; bring a new one\n")
    LogWriter(guarded_gateway).append(f"thread:{user}", f"team:{user}")
    for subscriber in stay:
        subscriber.wait_for(1)
    # Made more than the second later that clocks may differ by.
    later = signer.token(user, [f"user:{user}"], iat=time.time() + 1.5)
    assert not refused(guarded_gateway, f"user:{user}", later)


@pytest.mark.parametrize("granted", ["team:{}:a", "team:{}:*"])
def test_a_channels_streams_end_whosever_they_are(
    guarded_gateway: Gateway, signer: Signer, subscriber_of: SubscriberOf, user: str, granted: str
) -> None:
    token = signer.token(user, [f"team:{user}:*", "team:other"])
    names = (f"team:{user}:a", f"team:{user}:a/team:other", "team:other")
    first, second, stays = (
        subscriber_of(guarded_gateway, name, query=f"?token={token}").connect() for name in names
    )
    revocations_of(guarded_gateway).revoke_channel(granted.format(user))
    first.wait_until_ended()
    second.wait_until_ended()
    assert refused(guarded_gateway, names[0], token)
    assert refused(guarded_gateway, names[1], token)
    assert not refused(guarded_gateway, names[2], token)
    LogWriter(guarded_gateway).append("team:other")
    stays.wait_for(1)


def test_a_poll_that_waits_gets_nothing_more(
    guarded_gateway: Gateway, signer: Signer, user: str
) -> None:
    token = signer.token(user, [f"user:{user}"])
    log = LogWriter(guarded_gateway)
    client = PollingClient(guarded_gateway, f"user:{user}", log.wait_until_followed())
    client.send({"Cookie": f"pushgate={token}"})
    revocations_of(guarded_gateway).revoke_user(user)
    wait_until_refused(guarded_gateway, f"user:{user}", token)
    log.append(f"user:{user}")
    assert client.receive().events == []
    assert client.poll({"Cookie": f"pushgate={token}"}).status == 401
    client.close()


def test_what_was_revoked_before_the_gateway_came_is_known(
    own_guarded: Gateway, own_redis: RedisServer, signer: Signer
) -> None:
    token, first = signer.token("7", ["user:7"]), signer.token("u0", ["user:7"])
    revocations = revocations_of(own_guarded)
    for number in range(1100):
        revocations.revoke_user(f"u{number}")
    revocations.revoke_user("7")
    own_redis.stop()
    own_guarded.launch()
    # Nothing is known yet: the client is to come back, and the public is open.
    wait_until(lambda: answers(own_guarded), DEADLINE_SECONDS, "the gateway listens")
    for target in (f"/sub/user:7?token={token}", f"/sub/thread:1?token={token}"):
        status, body = begin(own_guarded, target)
        assert status == 200
        assert "event: error" in body
    own_redis.start()
    own_guarded.wait_until_ready()
    assert refused(own_guarded, "user:7", token)
    assert refused(own_guarded, "user:7", first)
    assert not refused(own_guarded, "user:7", signer.token("8", ["user:7"]))


def answers(gateway: Gateway) -> bool:
    try:
        return ask(gateway, "GET", "/").status == 404
    except OSError:
        return False


def test_revocations_outlive_a_reload_a_lost_tail_and_an_emptied_redis(
    own_guarded: Gateway, own_redis: RedisServer, signer: Signer, subscriber_of: SubscriberOf
) -> None:
    own_guarded.start()
    tokens = {user: signer.token(user, ["user:*"]) for user in "abcde"}
    revocations = revocations_of(own_guarded)
    revocations.revoke_user("a")
    wait_until_refused(own_guarded, "user:1", tokens["a"])

    old = set(own_guarded.worker_pids)
    os.kill(own_guarded.pid, signal.SIGHUP)
    wait_until(
        lambda: len(own_guarded.worker_pids) == 2 and not old & set(own_guarded.worker_pids),
        DEADLINE_SECONDS,
        "new workers run",
    )
    assert refused(own_guarded, "user:1", tokens["a"])
    revocations.revoke_user("b")
    wait_until_refused(own_guarded, "user:1", tokens["b"])

    for pid in own_guarded.worker_pids:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: answers(own_guarded), DEADLINE_SECONDS, "the gateway listens")
    stream = connected(own_guarded, subscriber_of, tokens["c"])
    revocations.revoke_user("c")
    wait_until_refused(own_guarded, "user:1", tokens["c"])
    stream.wait_until_ended()

    stream = connected(own_guarded, subscriber_of, tokens["d"])
    revocations_of(own_guarded)._client.flushall()
    revocations.revoke_user("d")
    wait_until_refused(own_guarded, "user:1", tokens["d"])
    stream.wait_until_ended()
    for user in "abc":
        assert refused(own_guarded, "user:1", tokens[user])
    assert not refused(own_guarded, "user:1", tokens["e"])


def test_something_else_in_the_streams_place_stops_tokens_and_nothing_more(
    own_guarded: Gateway, signer: Signer, subscriber_of: SubscriberOf
) -> None:
    own_guarded.start()
    token = signer.token("7", ["user:7"])
    assert not refused(own_guarded, "user:7", token)
    log = LogWriter(own_guarded)
    log.client.set(log.keys.revoked, "no stream")

    def is_taken() -> bool:
        status, body = begin(own_guarded, f"/sub/user:7?token={token}")
        assert status == 200
        return "event: error" not in body

    wait_until(lambda: not is_taken(), DEADLINE_SECONDS, "no token is taken")
    stream = subscriber_of(own_guarded, "thread:1").connect()
    log.append("thread:1")
    stream.wait_for(1)
    log.client.delete(log.keys.revoked)
    wait_until(is_taken, DEADLINE_SECONDS, "tokens are taken again")
    assert "in Redis is no stream; delete it" in own_guarded.log.read_text()


def connected(gateway: Gateway, subscriber_of: SubscriberOf, token: str) -> Subscriber:
    stream: Subscriber = subscriber_of(gateway, "user:1", query=f"?token={token}").connect()
    assert stream.events == []
    return stream
