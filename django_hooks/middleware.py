"""The cookie `pushgate`: a signed-in user's token, made and renewed as pages are asked for.

`MIDDLEWARE += ["django_hooks.middleware.PushTokenMiddleware"]`, behind Django's
AuthenticationMiddleware. It asks for the user only when a token is missing or has lived half its
time; with a fresh one a request costs one signature check and no query.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured, MiddlewareNotUsed
from django.dispatch import receiver
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control, patch_vary_headers

from django_hooks import tokens
from django_hooks.token_settings import token_settings
from django_hooks.tokens import Claims, TokenError, User
from pushgate import InvalidChannel

logger = logging.getLogger(__name__)

COOKIE = "pushgate"
_CHANGED = "_pushgate_user_changed"

GetResponse = Callable[[HttpRequest], Any]


class PushTokenMiddleware:
    """Keeps the cookie `pushgate` what it should be. Works in synchronous and async stacks.

    Raises:
        MiddlewareNotUsed: the site has no token keys.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        if not token_settings().token_keys:
            raise MiddlewareNotUsed('PUSHGATE["TOKEN_KEYS"] is empty')
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer the request; the cookie goes with the answer when it must."""
        if self._is_async:
            return self._answer(request)
        response: HttpResponseBase = self._get_response(request)
        if _is_due(request, response):
            _put(response, _minted(_user_of(request)), request)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self._get_response(request)
        if _is_due(request, response):
            # The site's function, and a user's permissions, may ask the database.
            token = await sync_to_async(_minted)(await request.auser())
            _put(response, token, request)
        return response


def ask_for_cookie(request: HttpRequest) -> None:
    """Have the answer to this request carry a new cookie, however fresh the old one is."""
    setattr(request, _CHANGED, True)


def _is_due(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether the answer must carry a cookie, new or empty."""
    if getattr(request, _CHANGED, False):
        return True
    if "public" in response.get("Cache-Control", "") or "s-maxage" in response.get(
        "Cache-Control", ""
    ):
        # Whoever keeps this answer would hand one user's token to another.
        return False
    has_session = settings.SESSION_COOKIE_NAME in request.COOKIES
    if COOKIE not in request.COOKIES:
        return has_session
    return not has_session or not _is_fresh(request.COOKIES[COOKIE])


def _is_fresh(token: str) -> bool:
    try:
        claims = tokens.verify(token)
    except TokenError:
        return False
    return _left_seconds(claims) > token_settings().token_seconds / 2


def _left_seconds(claims: Claims) -> float:
    return claims.expires_at - time.time()


def _user_of(request: HttpRequest) -> User:
    try:
        return request.user
    except AttributeError:
        raise ImproperlyConfigured(
            "PushTokenMiddleware needs to know the user: put AuthenticationMiddleware before it"
        ) from None


def _minted(user: User) -> str:
    try:
        return tokens.mint(user)
    except (TokenError, InvalidChannel) as error:
        # The page itself is right without it; its streams will be refused, with a reason.
        logger.error("no push token for user %s: %s", user.pk, error)
        return ""


def _put(response: HttpResponseBase, token: str, request: HttpRequest) -> None:
    chosen = token_settings()
    domain = chosen.token_cookie_domain or None
    if token:
        response.set_cookie(
            COOKIE,
            token,
            max_age=chosen.token_seconds,
            domain=domain,
            secure=chosen.token_cookie_secure,
            httponly=True,
            samesite="Lax",
        )
    elif COOKIE in request.COOKIES:
        response.delete_cookie(COOKIE, domain=domain, samesite="Lax")
    else:
        return
    patch_cache_control(response, private=True)
    patch_vary_headers(response, ["Cookie"])


@receiver([user_logged_in, user_logged_out])
def _note_change(*, request: HttpRequest | None, **_: object) -> None:
    """Another user from here on: the cookie of the one before must go with this very answer."""
    if request is not None:
        ask_for_cookie(request)
