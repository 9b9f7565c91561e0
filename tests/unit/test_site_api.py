"""The example site's JSON API."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from django_hooks.models import OutboxRow
from example_site.threads.models import Comment, Thread
from pushgate import Event
from pushgate.event import MAX_DATA_BYTES

pytestmark = pytest.mark.django_db


@pytest.fixture
def thread() -> Thread:
    return Thread.objects.create(title="A thread")


@pytest.fixture
def comment(thread: Thread) -> Comment:
    return Comment.objects.create(thread=thread, author="Ada", text="Hello")


def send(client: Client, method: str, path: str, body: Any) -> HttpResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer: HttpResponse = client.generic(method, path, content, "application/json")  # type: ignore[assignment]
    return answer


def sentence(answer: HttpResponse) -> str:
    text: str = json.loads(answer.content)["error"]
    assert text.endswith(".") and "\n" not in text
    return text


def test_a_thread_is_begun_and_talked_in(client: Client):
    answer = send(client, "POST", "/api/threads/", {"title": "  On   bread "})
    assert answer.status_code == 201
    thread_id = json.loads(answer.content)["id"]
    assert Thread.objects.get(pk=thread_id).title == "On bread"
    path = f"/api/threads/{thread_id}/comments/"
    answer = send(client, "POST", path, {"author": "Ada", "text": "First\r\n\r\nSecond\n"})
    assert answer.status_code == 201
    comment_id = json.loads(answer.content)["id"]
    found = json.loads(client.get(path).content)
    assert found["count"] == 1
    assert found["earlier"] is False
    (comment,) = found["comments"]
    assert comment["id"] == comment_id
    assert comment["thread"] == thread_id
    assert comment["author"] == "Ada"
    assert comment["text"] == "First\n\nSecond"
    assert comment["edited_at"] is None


def test_it_asks_for_no_csrf_token():
    client = Client(enforce_csrf_checks=True)
    assert send(client, "POST", "/api/threads/", {"title": "Hello"}).status_code == 201


def test_a_comment_is_edited(client: Client, comment: Comment):
    answer = send(client, "PATCH", f"/api/comments/{comment.pk}/", {"text": "Hello there"})
    assert (answer.status_code, json.loads(answer.content)) == (200, {"id": comment.pk})
    comment.refresh_from_db()
    assert comment.text == "Hello there"
    assert comment.edited_at is not None
    event = Event.from_json(OutboxRow.objects.latest("id").event)
    assert (event.type, event.data["text"]) == ("comment.updated", "Hello there")
    assert event.data["edited_at"]


def test_a_comment_is_deleted_once(client: Client, comment: Comment):
    path = f"/api/comments/{comment.pk}/"
    assert client.delete(path).status_code == 204
    assert sentence(client.delete(path)) == f"There is no comment {comment.pk}."  # type: ignore[arg-type]
    types = [Event.from_json(row.event).type for row in OutboxRow.objects.order_by("id")]
    assert types == ["comment.created", "comment.deleted"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "The body is not JSON."),
        (b"{", "The body is not JSON."),
        (b"\xff", "The body is not JSON."),
        (b"[" * 100_000, "The body is not JSON."),
        ([], "The body must be a JSON object."),
        ({}, '"author" is missing.'),
        ({"author": "Ada"}, '"text" is missing.'),
        ({"author": "Ada", "text": None}, '"text" is missing.'),
        ({"author": "Ada", "text": 7}, '"text" must be a string.'),
        ({"author": "Ada", "text": " \n "}, '"text" is empty.'),
        ({"author": "", "text": "Hello"}, '"author" is empty.'),
        ({"author": "A" * 81, "text": "Hello"}, '"author" may have 80 characters'),
        ({"author": "Ada", "text": "a\0b"}, '"text" holds a NUL character'),
        ({"author": "Ada", "text": "\ud800"}, '"text" holds half of a surrogate pair'),
    ],
)
def test_a_bad_body_is_refused_in_one_sentence(
    client: Client, thread: Thread, body: Any, said: str
):
    answer = send(client, "POST", f"/api/threads/{thread.pk}/comments/", body)
    assert answer.status_code == 400
    assert sentence(answer).startswith(said)
    assert Comment.objects.count() == OutboxRow.objects.count() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/threads/999/comments/", None),
        ("POST", "/api/threads/999/comments/", {"author": "Ada", "text": "Hello"}),
        ("POST", f"/api/threads/{10**30}/comments/", {"author": "Ada", "text": "Hello"}),
        ("PATCH", "/api/comments/999/", {"text": "Hello"}),
        ("DELETE", "/api/comments/999/", None),
    ],
)
def test_what_is_not_there_is_404(client: Client, method: str, path: str, body: Any):
    answer = send(client, method, path, body)
    assert answer.status_code == 404
    assert sentence(answer).startswith("There is no ")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/threads/", "POST"),
        ("PUT", "/api/threads/1/comments/", "GET, POST, PATCH, DELETE"),
        ("POST", "/api/comments/1/", "PATCH, DELETE"),
    ],
)
def test_a_wrong_method_is_405(client: Client, method: str, path: str, allowed: str):
    answer = send(client, method, path, {})
    assert answer.status_code == 405
    assert answer["Allow"] == allowed
    assert sentence(answer) == f"{method} is not possible here; use {allowed}."


def longest_text(letter: str, author: str) -> str:
    """A text of that letter that is just not too long."""
    low, high = 1, MAX_DATA_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        size = len(json.dumps(letter * middle, ensure_ascii=False).encode())
        size += len(json.dumps(author, ensure_ascii=False).encode())
        if size + 150 <= MAX_DATA_BYTES:
            low = middle
        else:
            high = middle - 1
    return letter * low


@pytest.mark.parametrize("letter", ["x", '"', "é", "\x01", "😀"])
def test_a_comment_that_is_accepted_fits_its_event_when_edited_and_deleted_too(
    client: Client, thread: Thread, letter: str
):
    path = f"/api/threads/{thread.pk}/comments/"
    text = longest_text(letter, "Ada")
    while True:
        answer = send(client, "POST", path, {"author": "Ada", "text": text})
        if answer.status_code == 201:
            break
        assert answer.status_code == 413
        text = text[:-1]
    assert len(json.dumps(text, ensure_ascii=False).encode()) > MAX_DATA_BYTES - 300
    comment_path = f"/api/comments/{json.loads(answer.content)['id']}/"
    assert send(client, "PATCH", comment_path, {"text": text}).status_code == 200
    assert client.delete(comment_path).status_code == 204


@pytest.mark.parametrize("length", [MAX_DATA_BYTES, 600_000])
def test_a_comment_over_64_kb_is_413_and_nothing_is_stored(
    client: Client, thread: Thread, length: int
):
    answer = send(
        client,
        "POST",
        f"/api/threads/{thread.pk}/comments/",
        {"author": "Ada", "text": "x" * length},
    )
    assert answer.status_code == 413
    assert "too long" in sentence(answer)
    assert Comment.objects.count() == OutboxRow.objects.count() == 0


def test_an_edit_over_64_kb_is_413_and_changes_nothing(client: Client, comment: Comment):
    answer = send(client, "PATCH", f"/api/comments/{comment.pk}/", {"text": "x" * MAX_DATA_BYTES})
    assert answer.status_code == 413
    comment.refresh_from_db()
    assert (comment.text, comment.edited_at) == ("Hello", None)


def test_comments_are_read_in_pages_backwards(client: Client, thread: Thread):
    made = Comment.objects.bulk_create(
        Comment(thread=thread, author="Ada", text=str(number)) for number in range(5)
    )
    ids = [comment.pk for comment in made]
    path = f"/api/threads/{thread.pk}/comments/"
    newest = json.loads(client.get(path, {"limit": 3}).content)
    assert [comment["id"] for comment in newest["comments"]] == ids[2:]
    assert newest["earlier"] is True
    rest = json.loads(client.get(path, {"limit": 3, "before": ids[2]}).content)
    assert [comment["id"] for comment in rest["comments"]] == ids[:2]
    assert rest["earlier"] is False


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5", "9" * 30, "٣"])
def test_a_page_that_is_no_number_is_400(client: Client, thread: Thread, value: str):
    answer = client.get(f"/api/threads/{thread.pk}/comments/", {"limit": value})
    assert answer.status_code == 400
