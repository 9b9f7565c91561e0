"""From a page to its stream without a gap."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

import redis
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponseBase

from django_hooks import connections

logger = logging.getLogger(__name__)

# After Redis could not be reached, pages do without their cursor for this long before one tries
# again: a Redis that does not answer must not make every page late.
PAUSE_SECONDS = 2.0

CURSOR_HEADER = "Push-Cursor"
"""The header by which a JSON API says from where the stream of what it answered goes on."""

READING_METHODS = ("GET", "HEAD")

ViewT = TypeVar("ViewT", bound=Callable[..., Any])


class PageCursors:
    """Hands out cursors, and none while Redis cannot be reached."""

    def __init__(self) -> None:
        self._redis = connections.Reachability(logger, "Redis")
        self._resume_at = 0.0

    def take(self) -> str:
        """Return the log's position now, or "" when Redis does not say."""
        if time.monotonic() < self._resume_at:
            return ""
        try:
            cursor = str(connections.log().cursor())
        except redis.RedisError as error:
            self._resume_at = time.monotonic() + PAUSE_SECONDS
            self._redis.lost(error, "pages are rendered without a cursor")
            return ""
        self._redis.found()
        return cursor


def page_cursor() -> str:
    """Return where a page's stream must begin. Call it BEFORE the page's queries.

    What is committed after the call comes by the stream, what was committed before is in the
    query's result, and what is in both, the page recognises by object and version. While Redis is
    down the cursor is "": the page is whole but does not know where its stream begins, and
    `live.js` has it read its data anew once it is connected.
    """
    return _cursors.take()


def with_push_cursor(view: ViewT) -> ViewT:
    """Take the cursor before the view runs, and answer it in the header `Push-Cursor`.

    For functions, sync or async, that answer JSON; also above Django REST framework's `api_view`.
    Within the view it is `request.push_cursor`, for those who would rather answer it in the body.
    Only reading (GET and HEAD) takes one.
    """
    if iscoroutinefunction(view):

        @wraps(view)
        async def answer_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return await _dispatch_async(view, request, *args, **kwargs)

        return cast(ViewT, answer_async)

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return _dispatch(view, request, *args, **kwargs)

    return cast(ViewT, answer)


class PushCursorMixin:
    """`with_push_cursor` for classes: Django's `View` and Django REST framework's `APIView`,
    generic views and view sets alike, whatever their pagination. Stands before them in the bases.
    """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer the request, with the cursor taken first."""
        dispatch: Callable[..., Any] = super().dispatch  # type: ignore[misc]
        if getattr(self, "view_is_async", False):
            return _dispatch_async(dispatch, request, *args, **kwargs)
        return _dispatch(dispatch, request, *args, **kwargs)


def _dispatch(
    view: Callable[..., HttpResponseBase], request: HttpRequest, *args: Any, **kwargs: Any
) -> HttpResponseBase:
    cursor = page_cursor() if request.method in READING_METHODS else ""
    _hand_in(request, cursor)
    return _hand_out(view(request, *args, **kwargs), cursor)


async def _dispatch_async(
    view: Callable[..., Awaitable[HttpResponseBase]],
    request: HttpRequest,
    *args: Any,
    **kwargs: Any,
) -> HttpResponseBase:
    cursor = await sync_to_async(page_cursor)() if request.method in READING_METHODS else ""
    _hand_in(request, cursor)
    return _hand_out(await view(request, *args, **kwargs), cursor)


def _hand_in(request: HttpRequest, cursor: str) -> None:
    request.push_cursor = cursor  # type: ignore[attr-defined]


def _hand_out(response: HttpResponseBase, cursor: str) -> HttpResponseBase:
    if cursor:
        response.headers[CURSOR_HEADER] = cursor
    return response


_cursors = PageCursors()
