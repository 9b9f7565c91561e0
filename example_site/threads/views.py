"""The pages. Every form in them works without JavaScript: a POST and a redirect."""

from __future__ import annotations

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from django_hooks.page import page_cursor
from example_site.threads import api, comments
from example_site.threads.comments import Refused
from example_site.threads.models import Comment, Thread

THREADS_SHOWN = 100


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """List the threads, the liveliest first; a POST begins one."""
    refused = None
    if request.method == "POST":
        try:
            return redirect(comments.add_thread(request.POST.get("title")))
        except Refused as error:
            refused = error
    context = {
        "threads": latest_threads()[:THREADS_SHOWN],
        "refused": refused,
        "title": request.POST.get("title", ""),
    }
    return render(request, "threads/index.html", context, status=refused.status if refused else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def thread(request: HttpRequest, thread_id: int) -> HttpResponse:
    """Show a thread with its comments; a POST adds one."""
    # Before any query: what is said from here on comes by the stream.
    cursor = page_cursor()
    thread = get_object_or_404(Thread, pk=thread_id)
    refused = None
    if request.method == "POST":
        try:
            comment = comments.add_comment(
                thread, request.POST.get("author"), request.POST.get("text")
            )
            return redirect(comment)
        except Refused as error:
            refused = error
    try:
        before = api.whole_number(request, "before")
    except Refused as error:
        raise Http404(error.sentence) from None
    shown, earlier = comments.newest_comments(thread, before)
    context = {
        "thread": thread,
        "comments": shown,
        "count": thread.comments.count(),
        "earlier": shown[0].pk if earlier else None,
        "live": before is None,
        "cursor": cursor,
        # What the script clones for a comment that comes by the stream.
        "blank": Comment(id=0, thread=thread, author="?", text=""),
        "refused": refused,
        "author": request.POST.get("author", ""),
        "text": request.POST.get("text", ""),
    }
    status = refused.status if refused else 200
    return render(request, "threads/thread.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def comment(request: HttpRequest, comment_id: int) -> HttpResponse:
    """Edit or delete a comment on a page of its own, for browsers without JavaScript."""
    comment = get_object_or_404(Comment.objects.select_related("thread"), pk=comment_id)
    refused = None
    if request.method == "POST":
        try:
            if request.POST.get("do") == "delete":
                comments.delete_comment(comment_id)
                return redirect(comment.thread)
            comments.edit_comment(comment_id, request.POST.get("text"))
            return redirect(comment)
        except Refused as error:
            refused = error
        except Comment.DoesNotExist:
            raise Http404("The comment has been deleted.") from None
    context = {
        "comment": comment,
        "refused": refused,
        "text": request.POST.get("text", comment.text),
    }
    return render(
        request, "threads/comment.html", context, status=refused.status if refused else 200
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that the page is not there."""
    return render(request, "threads/not_found.html", status=404)


def latest_threads() -> QuerySet[Thread]:
    """Return the threads with `comment_count`, `active_at` and `last_author`, liveliest first."""
    newest = Comment.objects.filter(thread=OuterRef("pk")).order_by("-id")
    return Thread.objects.annotate(
        comment_count=Count("comments"),
        active_at=Subquery(newest.values("created_at")[:1]),
        last_author=Subquery(newest.values("author")[:1]),
    ).order_by(F("active_at").desc(nulls_last=True), "-id")
