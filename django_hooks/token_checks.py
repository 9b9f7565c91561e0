"""What can be seen of tokens when the site starts."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.utils.module_loading import import_string

from django_hooks.token_settings import TokenSettings, token_settings
from pushgate import InvalidSetting

MIDDLEWARE = "django_hooks.middleware.PushTokenMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@register(Tags.security)
def check_tokens(**_: object) -> list[CheckMessage]:
    """Check the keys, the function that grants channels, and the middleware's place."""
    try:
        chosen = token_settings()
    except InvalidSetting as error:
        return [Error(str(error), id="django_hooks.E201")]
    if not chosen.token_keys:
        return []
    return [*_keys(chosen), *_function(chosen), *_cookie(chosen)]


def _keys(chosen: TokenSettings) -> Iterator[CheckMessage]:
    site_keys = {settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS}
    for key in chosen.token_keys:
        if key.key in site_keys:
            yield Error(
                f'PUSHGATE["TOKEN_KEYS"], key {key.kid!r} is Django\'s SECRET_KEY',
                hint="The gateway would know the key of the site's sessions and password links; "
                "manage.py push_keys --new draws one of its own.",
                id="django_hooks.E202",
            )
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        yield Error(
            'PUSHGATE["TOKEN_KEYS"] is set, but PyJWT or cryptography is not installed',
            hint='pip install "pushgate[tokens]"',
            id="django_hooks.E203",
        )
        return
    from django_hooks import token_keys

    try:
        token_keys.private(chosen.token_keys[0])
        for key in chosen.token_keys:
            token_keys.public(key)
    except InvalidSetting as error:
        yield Error(str(error), id="django_hooks.E201")


def _function(chosen: TokenSettings) -> Iterator[CheckMessage]:
    if chosen.channels_for_user:
        try:
            import_string(chosen.channels_for_user)
        except ImportError as error:
            yield Error(
                f'PUSHGATE["CHANNELS_FOR_USER"] is {chosen.channels_for_user!r}: {error}',
                id="django_hooks.E204",
            )


def _cookie(chosen: TokenSettings) -> Iterator[CheckMessage]:
    order = list(settings.MIDDLEWARE)
    if MIDDLEWARE in order and AUTHENTICATION not in order[: order.index(MIDDLEWARE)]:
        yield Error(
            f"{MIDDLEWARE} stands before {AUTHENTICATION}, or without it",
            hint="It asks who the user is: put it behind.",
            id="django_hooks.E205",
        )
    if not chosen.token_cookie_secure and not settings.DEBUG:
        yield Warning(
            'PUSHGATE["TOKEN_COOKIE_SECURE"] is False: tokens go over plain HTTP',
            hint="Leave it away where the site is served by HTTPS.",
            id="django_hooks.W201",
        )
