"""The JSON API: what scripts, load tests and the page's own script call.

It asks for no login and no CSRF token, for the demo has no accounts whose name could be abused.
An error is one sentence: `{"error": "..."}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from example_site.threads import bulk, comments
from example_site.threads.comments import Refused
from example_site.threads.models import Comment, Thread

LONGEST_PAGE = 1000

View = Callable[..., HttpResponse]


def endpoint(*methods: str) -> Callable[[View], View]:
    """Make a view answer these methods, and every refusal with its sentence."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method not in methods:
                allowed = ", ".join(methods)
                response = error(405, f"{request.method} is not possible here; use {allowed}.")
                response["Allow"] = allowed
                return response
            try:
                return view(request, *args, **kwargs)
            except Refused as refused:
                return error(refused.status, refused.sentence)
            except Thread.DoesNotExist:
                return error(404, f"There is no thread {kwargs.get('thread_id')}.")
            except Comment.DoesNotExist:
                return error(404, f"There is no comment {kwargs.get('comment_id')}.")

        return answer

    return decorate


def error(status: int, sentence: str) -> JsonResponse:
    """Answer that something is wrong, in one sentence."""
    return JsonResponse({"error": sentence}, status=status)


def body(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object in the request's body."""
    try:
        fields = json.loads(request.body)
    except RequestDataTooBig:
        most = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 1024
        sentence = f"The request is too long: a comment may have 64 KB, a request {most} KB."
        raise Refused(sentence, 413) from None
    except (ValueError, RecursionError):
        raise Refused("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise Refused("The body must be a JSON object.")
    return fields


@endpoint("POST")
def threads(request: HttpRequest) -> HttpResponse:
    """Begin a thread: `{"title"}` -> 201 `{"id"}`."""
    thread = comments.add_thread(body(request).get("title"))
    return JsonResponse({"id": thread.pk}, status=201)


@endpoint("GET", "POST", "PATCH", "DELETE")
def thread_comments(request: HttpRequest, *, thread_id: int) -> HttpResponse:
    """Read the newest comments, oldest first, or add one: `{"author", "text"}` -> 201 `{"id"}`.

    `?before=<comment id>` reads on backwards, `?limit=` (1-1000, default 200) sets how many.

    1 to 500 comments at once, all or none; of one that is not there the answer is 404, of one
    that cannot be stored 400 or 413, and then nothing has happened:

    - POST `{"comments": [{"author", "text"}, ...]}` -> 201 `{"ids"}`, in the same order
    - PATCH `{"comments": [{"id", "text"}, ...]}` -> 200 `{"ids"}`, edited by rising id
    - DELETE `{"ids": [...]}` -> 204
    """
    thread = Thread.objects.get(pk=thread_id)
    if request.method == "GET":
        return page_of_comments(request, thread)
    fields = body(request)
    if request.method == "PATCH":
        return JsonResponse({"ids": bulk.edit_comments(thread, fields.get("comments"))})
    if request.method == "DELETE":
        bulk.delete_comments(thread, fields.get("ids"))
        return HttpResponse(status=204)
    if "comments" in fields:
        added = bulk.add_comments(thread, fields["comments"])
        return JsonResponse({"ids": [comment.pk for comment in added]}, status=201)
    comment = comments.add_comment(thread, fields.get("author"), fields.get("text"))
    return JsonResponse({"id": comment.pk}, status=201)


def page_of_comments(request: HttpRequest, thread: Thread) -> HttpResponse:
    limit = min(whole_number(request, "limit") or comments.PAGE_LENGTH, LONGEST_PAGE)
    rows, earlier = comments.newest_comments(thread, whole_number(request, "before"), limit)
    return JsonResponse(
        {
            "comments": [row.as_data() for row in rows],
            "count": thread.comments.count(),
            "earlier": earlier,
        }
    )


@endpoint("PATCH", "DELETE")
def comment(request: HttpRequest, *, comment_id: int) -> HttpResponse:
    """Replace a comment's text (`{"text"}` -> 200 `{"id"}`) or delete it (204)."""
    if request.method == "DELETE":
        comments.delete_comment(comment_id)
        return HttpResponse(status=204)
    comments.edit_comment(comment_id, body(request).get("text"))
    return JsonResponse({"id": comment_id})


def whole_number(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and 0 < len(value) < 19 and int(value) > 0):
        raise Refused(f'"{name}" must be a whole number above 0.')
    return int(value)
