"""From the site's settings to an open stream and its end: keys, token, cookie, revocation."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from django_hooks import token_keys, tokens
from django_hooks.middleware import PushTokenMiddleware
from loadtest.eventsource import EventSourceClient
from stack.gateway import Gateway, GatewaySettings
from stack.platform import Platform
from stack.process import free_port
from stack.redis_server import RedisServer

pytestmark = [pytest.mark.real_redis, pytest.mark.real_gateway]

DEADLINE_SECONDS = 20.0


@pytest.fixture
def site(
    request: pytest.FixtureRequest, settings: Settings, redis_server: RedisServer
) -> dict[str, Any]:
    """What the site says of Pushgate, with a token key of the algorithm that a test asks for."""
    key = token_keys.new_key("k1", request.param)
    chosen = {
        "REDIS_URL": redis_server.url,
        "NAMESPACE": f"tokens-{uuid.uuid4().hex[:8]}",
        "TOKEN_KEYS": [{"kid": key.kid, "alg": key.alg, "key": key.key}],
        "TOKEN_AUDIENCE": "this-site",
    }
    settings.PUSHGATE = chosen
    return chosen


@pytest.fixture
def gateway(site: dict[str, Any], tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that is given the site's keys."""
    written = io.StringIO()
    call_command("push_keys", "--secrets", stdout=written)
    keys = tmp_path / "keys.json"
    keys.write_text(written.getvalue())
    own = Gateway(
        Platform.find(),
        tmp_path / "gateway",
        GatewaySettings(
            listen=f"127.0.0.1:{free_port()}",
            redis_url=site["REDIS_URL"],
            namespace=site["NAMESPACE"],
            workers="1",
            token_keys=keys,
            more={"PUSHGATE_TOKEN_AUDIENCE": "this-site"},
        ),
    )
    try:
        own.start()
        yield own
    finally:
        own.stop()


def cookie_of(user: User) -> str:
    """The cookie that the site's middleware gives a signed-in user."""

    def view(_: object) -> HttpResponse:
        return HttpResponse()

    request = RequestFactory().get("/")
    request.user = user
    request.COOKIES["sessionid"] = "any"
    answered = PushTokenMiddleware(view)(request)
    assert isinstance(answered, HttpResponse)
    return answered.cookies["pushgate"].value


def by_address(gateway: Gateway, user: User) -> EventSourceClient:
    token = tokens.mint(user, [f"user:{user.pk}"])
    return EventSourceClient(f"{gateway.url}/sub/user:{user.pk}?token={token}")


def by_cookie(gateway: Gateway, user: User) -> EventSourceClient:
    cookie = {"Cookie": f"pushgate={cookie_of(user)}"}
    return EventSourceClient(f"{gateway.url}/sub/user:{user.pk}", headers=cookie)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("site", "connected"), [("EdDSA", by_cookie), ("HS256", by_address)], indirect=["site"]
)
def test_a_site_opens_a_stream_and_ends_it(
    gateway: Gateway, connected: Callable[[Gateway, User], EventSourceClient]
) -> None:
    ada = User.objects.create_user("ada")
    bob = User.objects.create_user("bob")
    with connected(gateway, ada) as hers, connected(gateway, bob) as his:
        hers.connect()
        his.connect()
        call_command("push_revoke", "--user", str(ada.pk), stdout=io.StringIO())
        for _ in hers.events(DEADLINE_SECONDS):
            pytest.fail("nothing was published yet")
        assert not hers.connected
        published = gateway.private("POST", f"/pub?id=user:{bob.pk}", '{"n": 1}')
        assert published.status == 200
        event = next(his.events(DEADLINE_SECONDS))
        assert json.loads(event.data)["n"] == 1
        tokens.revoke_channel("user:*")
        for _ in his.events(DEADLINE_SECONDS):
            pytest.fail("nothing more was published")
        assert not his.connected
