"""The cookie `pushgate`: when it is set, renewed and dropped, in synchronous and async stacks."""

from __future__ import annotations

import time
from http.cookies import Morsel
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path
from pytest_django import Settings

from django_hooks.middleware import PushTokenMiddleware
from django_hooks.token_views import renew
from django_hooks.tokens import mint, verify

SECRET = "a secret that nobody but this test knows"
MIDDLEWARE = "django_hooks.middleware.PushTokenMiddleware"

pytestmark = pytest.mark.django_db


def page(request: HttpRequest) -> HttpResponse:
    """A page that does not ask who reads it."""
    return HttpResponse("hello")


def public_page(request: HttpRequest) -> HttpResponse:
    """A page that anybody may keep."""
    return HttpResponse("hello", headers={"Cache-Control": "public, max-age=60"})


async def async_page(request: HttpRequest) -> HttpResponse:
    """A page that is made asynchronously."""
    return HttpResponse("hello")


urlpatterns = [
    path("page/", page),
    path("public/", public_page),
    path("async/", async_page),
    path("token/", renew),
    path("", include("example_site.urls")),
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE]
    settings.PUSHGATE = {
        "TOKEN_KEYS": [{"kid": "a", "alg": "HS256", "key": SECRET}],
        "TOKEN_COOKIE_DOMAIN": "example.org",
    }


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ada", password="lovelace")


@pytest.fixture
def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def cookie(response: Any) -> Morsel[str] | None:
    found: Morsel[str] | None = response.cookies.get("pushgate")
    return found


def half_lived(user: User) -> str:
    """A token that is valid and has lived more than half its time."""
    claims = jwt.decode(mint(user), options={"verify_signature": False})
    return jwt.encode({**claims, "exp": int(time.time()) + 100}, SECRET, "HS256", {"kid": "a"})


def test_a_user_gets_a_token_no_script_can_read(signed_in: Client, user: User):
    response = signed_in.get("/page/")
    found = cookie(response)
    assert found is not None
    assert verify(found.value).sub == str(user.pk)
    assert found["httponly"]
    assert found["secure"]
    assert (found["samesite"], found["path"], found["domain"]) == ("Lax", "/", "example.org")
    assert found["max-age"] == 300
    assert "private" in response["Cache-Control"]
    assert "Cookie" in response["Vary"]


def test_a_fresh_token_is_left_alone_and_costs_no_query(
    signed_in: Client, django_assert_num_queries: Any
):
    signed_in.get("/page/")
    with django_assert_num_queries(0):
        response = signed_in.get("/page/")
    assert cookie(response) is None
    assert "Vary" not in response or "Cookie" not in response["Vary"]


def test_a_token_is_renewed_when_half_its_time_is_over(signed_in: Client, user: User):
    signed_in.cookies["pushgate"] = half_lived(user)
    found = cookie(signed_in.get("/page/"))
    assert found is not None
    assert verify(found.value).expires_at > time.time() + 200


@pytest.mark.parametrize("wrong", ["nonsense", "", "a.b.c"])
def test_a_token_that_is_not_valid_is_replaced(signed_in: Client, wrong: str):
    signed_in.cookies["pushgate"] = wrong
    found = cookie(signed_in.get("/page/"))
    assert found is not None
    assert verify(found.value)


def test_who_is_not_signed_in_gets_none(client: Client):
    assert cookie(client.get("/page/")) is None


def test_a_token_without_a_session_is_dropped(client: Client, user: User):
    client.cookies["pushgate"] = mint(user)
    found = cookie(client.get("/page/"))
    assert found is not None
    assert (found.value, found["max-age"], found["domain"]) == ("", 0, "example.org")


def test_a_token_goes_with_the_logout_and_comes_with_the_login(user: User):
    client = Client()
    login = {"username": "ada", "password": "lovelace", "next": "/page/"}
    User.objects.filter(pk=user.pk).update(is_staff=True)
    found = cookie(client.post("/admin/login/", login))
    assert found is not None
    assert verify(found.value).sub == str(user.pk)
    found = cookie(client.post("/admin/logout/"))
    assert found is not None
    assert (found.value, found["max-age"]) == ("", 0)


def test_another_user_gets_another_token_at_once(signed_in: Client, user: User):
    signed_in.get("/page/")
    other = User.objects.create_user("grace", password="hopper", is_staff=True)
    login = {"username": "grace", "password": "hopper", "next": "/page/"}
    found = cookie(signed_in.post("/admin/login/", login))
    assert found is not None
    assert verify(found.value).sub == str(other.pk)


def test_an_answer_that_anybody_may_keep_carries_no_token(signed_in: Client):
    assert cookie(signed_in.get("/public/")) is None


def test_an_async_stack_does_the_same(user: User):
    assert iscoroutinefunction(PushTokenMiddleware(async_page))
    client = AsyncClient()

    async def two_requests() -> tuple[Any, Any]:
        await client.aforce_login(user)
        return await client.get("/async/"), await client.get("/async/")

    first, second = async_to_sync(two_requests)()
    found = cookie(first)
    assert found is not None
    assert verify(found.value).sub == str(user.pk)
    assert cookie(second) is None


def test_a_page_open_for_long_renews_its_token(signed_in: Client):
    signed_in.get("/page/")
    response = signed_in.get("/token/")
    assert response.json() == {"valid_seconds": 300}
    assert cookie(response) is not None
    assert "no-store" in response["Cache-Control"]
    assert Client().get("/token/").status_code == 401


def test_a_page_is_right_though_no_token_can_be_made(
    signed_in: Client, settings: Settings, caplog: pytest.LogCaptureFixture
):
    settings.PUSHGATE = {**settings.PUSHGATE, "CHANNELS_FOR_USER": f"{__name__}.too_many"}
    response = signed_in.get("/page/")
    assert response.status_code == 200
    assert cookie(response) is None
    assert "grant prefix:* instead" in caplog.text


def too_many(user: User) -> list[str]:
    return [f"thread:{number}" for number in range(500)]


def test_without_keys_the_middleware_is_not_used(user: User, settings: Settings):
    settings.PUSHGATE = {}
    client = Client()
    client.force_login(user)
    assert cookie(client.get("/page/")) is None
