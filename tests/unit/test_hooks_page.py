"""From a page, or a JSON API, to its stream: the cursor is taken before the view's first query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import Context, Template
from django.test import AsyncRequestFactory, RequestFactory
from django.views import View
from pytest_django import Settings
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.generics import ListAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ReadOnlyModelViewSet

from django_hooks import page
from django_hooks.page import PushCursorMixin, with_push_cursor
from example_site.threads.models import Comment, Thread

CURSOR = "0123abcd.1700000000000-3"

AnyView = Callable[..., HttpResponse]


class Cursors:
    """Hands out one cursor, and runs `meanwhile` as it does."""

    def __init__(self) -> None:
        self.given = CURSOR
        self.taken = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def take(self) -> str:
        self.taken += 1
        self.meanwhile()
        return self.given


@pytest.fixture(autouse=True)
def cursors(monkeypatch: pytest.MonkeyPatch) -> Cursors:
    cursors = Cursors()
    monkeypatch.setattr(page, "_cursors", cursors)
    return cursors


@pytest.fixture(autouse=True)
def rest_framework(settings: Any) -> None:
    # The smallest of installations: no accounts, no browsable pages.
    settings.REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    }


class CommentSerializer(ModelSerializer):
    class Meta:
        model = Comment
        fields = ("id", "text")


class TwoAPage(PageNumberPagination):
    page_size = 2


class Comments:
    queryset = Comment.objects.order_by("id")
    serializer_class = CommentSerializer
    pagination_class = TwoAPage
    renderer_classes = (JSONRenderer,)


class CommentList(PushCursorMixin, Comments, ListAPIView):
    pass


class CommentViewSet(PushCursorMixin, Comments, ReadOnlyModelViewSet):
    pass


class PlainView(PushCursorMixin, View):
    def get(self, request: HttpRequest) -> HttpResponse:
        texts = list(Comment.objects.values_list("text", flat=True))
        return JsonResponse({"results": [{"text": text} for text in texts]})

    def post(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=201)


@with_push_cursor
@api_view(["GET"])
@authentication_classes([])
def rest_function(request: Any) -> Response:
    texts = list(Comment.objects.values_list("text", flat=True))
    found = {"results": [{"text": text} for text in texts], "cursor": request.push_cursor}
    return Response(found)


@with_push_cursor
def plain_function(request: HttpRequest) -> HttpResponse:
    texts = list(Comment.objects.values_list("text", flat=True))
    found = {"results": [{"text": text} for text in texts]}
    return JsonResponse({**found, "cursor": request.push_cursor})  # type: ignore[attr-defined]


VIEWS = {
    "a generic view of REST framework": CommentList.as_view(),
    "a view set of REST framework": CommentViewSet.as_view({"get": "list"}),
    "a function of REST framework": rest_function,
    "a view": PlainView.as_view(),
    "a function": plain_function,
}


def answer_of(view: AnyView, request: HttpRequest) -> HttpResponse:
    response = view(request)
    render = getattr(response, "render", None)
    return render() if render else response


@pytest.mark.django_db
@pytest.mark.parametrize("kind", VIEWS)
def test_the_cursor_is_taken_before_the_query(kind: str, cursors: Cursors) -> None:
    thread = Thread.objects.create(title="On bread")
    cursors.meanwhile = lambda: thread.comments.create(author="Ada", text="just in time")
    response = answer_of(VIEWS[kind], RequestFactory().get("/"))
    assert response.status_code == 200
    assert response.headers["Push-Cursor"] == CURSOR
    assert b"just in time" in response.content
    assert cursors.taken == 1


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["a function of REST framework", "a function"])
def test_a_view_may_answer_the_cursor_in_the_body(kind: str) -> None:
    response = answer_of(VIEWS[kind], RequestFactory().get("/"))
    assert f'"cursor":"{CURSOR}"' in response.content.decode().replace(" ", "")


def test_writing_takes_no_cursor(cursors: Cursors) -> None:
    response = PlainView.as_view()(RequestFactory().post("/"))
    assert response.status_code == 201
    assert "Push-Cursor" not in response.headers
    assert cursors.taken == 0


@pytest.mark.django_db
def test_without_redis_the_answer_is_whole_and_has_no_cursor(cursors: Cursors) -> None:
    cursors.given = ""
    response = answer_of(VIEWS["a view"], RequestFactory().get("/"))
    assert response.status_code == 200
    assert "Push-Cursor" not in response.headers


async def _answer(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"cursor": request.push_cursor})  # type: ignore[attr-defined]


class AsyncView(PushCursorMixin, View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return await _answer(request)


@pytest.mark.parametrize("view", [with_push_cursor(_answer), AsyncView.as_view()])
def test_async_views_take_it_too(view: Callable[..., Any]) -> None:
    response = async_to_sync(view)(AsyncRequestFactory().get("/"))
    assert response.headers["Push-Cursor"] == CURSOR
    assert CURSOR.encode() in response.content


def test_a_page_knows_the_names_its_events_use() -> None:
    template = Template("{% load push %}{% push_object comment %} {% push_object thread %}")
    shown = template.render(Context({"comment": Comment(id=17), "thread": Thread(id=3)}))
    assert shown == "threads.comment:17 threads.thread:3"


@pytest.mark.parametrize(("share", "shown"), [(0, "0"), (0.01, "0.01"), (1, "1")])
def test_a_page_knows_how_many_send_receipts(settings: Settings, share: float, shown: str) -> None:
    template = Template("{% load push %}{% push_receipts %}")
    assert template.render(Context()) == "0"
    settings.PUSHGATE = {"RECEIPTS": share}
    assert template.render(Context()) == shown
