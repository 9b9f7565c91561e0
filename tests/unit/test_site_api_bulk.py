"""The example site's JSON API for many comments at once."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_hooks.models import OutboxRow
from example_site.threads.bulk import BULK_LENGTH
from example_site.threads.models import Comment, Thread
from pushgate import Event
from pushgate.event import MAX_DATA_BYTES
from tests.unit.test_site_api import send, sentence

pytestmark = pytest.mark.django_db


@pytest.fixture
def path() -> str:
    return f"/api/threads/{Thread.objects.create(title='A thread').pk}/comments/"


@pytest.fixture
def ids(client: Client, path: str) -> list[int]:
    """Three comments, whose events are forgotten."""
    comments = [{"author": "Ada", "text": str(number)} for number in range(3)]
    found: list[int] = json.loads(send(client, "POST", path, {"comments": comments}).content)["ids"]
    OutboxRow.objects.all().delete()
    return found


def told() -> list[tuple[str, object, object]]:
    """Type, id and text of what was told, in order."""
    rows = OutboxRow.objects.order_by("id")
    events = [Event.from_json(row.event) for row in rows]
    return [(event.type, event.data["id"], event.data["text"]) for event in events]


def texts() -> dict[int, str]:
    return dict(Comment.objects.values_list("pk", "text"))


def test_many_comments_are_added_and_told_of_in_their_order(client: Client, path: str):
    comments = [{"author": "Ada", "text": f"  {number}\r\n"} for number in range(BULK_LENGTH)]
    answer = send(client, "POST", path, {"comments": comments})
    assert answer.status_code == 201
    ids = json.loads(answer.content)["ids"]
    assert texts() == {pk: str(number) for number, pk in enumerate(ids)}
    assert told() == [("comment.created", pk, str(number)) for number, pk in enumerate(ids)]


def test_many_comments_are_edited_by_rising_id(client: Client, path: str, ids: list[int]):
    comments = [{"id": pk, "text": f"new {pk}"} for pk in reversed(ids)]
    answer = send(client, "PATCH", path, {"comments": comments})
    assert (answer.status_code, json.loads(answer.content)) == (200, {"ids": ids})
    assert texts() == {pk: f"new {pk}" for pk in ids}
    assert told() == [("comment.updated", pk, f"new {pk}") for pk in ids]


def test_many_comments_are_deleted(client: Client, path: str, ids: list[int]):
    answer = send(client, "DELETE", path, {"ids": ids[:0:-1]})
    assert (answer.status_code, answer.content) == (204, b"")
    assert texts() == {ids[0]: "0"}
    assert sorted(told()) == [
        ("comment.deleted", pk, str(number)) for number, pk in enumerate(ids) if number
    ]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("where", ["nowhere", "in another thread"])
def test_all_is_rolled_back_when_one_is_not_there(
    client: Client, path: str, ids: list[int], method: str, where: str
):
    if where == "nowhere":
        stranger = ids[-1] + 1
    else:
        other = Thread.objects.create(title="Another thread")
        stranger = Comment.objects.create(thread=other, author="Grace", text="Mine").pk
        OutboxRow.objects.all().delete()
    before = texts()
    asked = [*ids, stranger]
    body: dict[str, Any] = {"ids": asked}
    if method == "PATCH":
        body = {"comments": [{"id": pk, "text": "new"} for pk in asked]}
    answer = send(client, method, path, body)
    assert answer.status_code == 404
    assert sentence(answer).startswith(f"There is no comment {stranger} in thread ")
    assert texts() == before
    assert told() == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_what_is_refused_for_one_that_is_not_there_had_been_written(
    client: Client, path: str, ids: list[int], method: str
):
    """The fault tests need writes that are really rolled back."""
    body: dict[str, Any] = {"ids": [*ids, 10**9]}
    if method == "PATCH":
        body = {"comments": [{"id": pk, "text": "new"} for pk in body["ids"]]}
    with CaptureQueriesContext(connection) as queries:
        assert send(client, method, path, body).status_code == 404
    statements = " ".join(query["sql"] for query in queries)
    written = "UPDATE" if method == "PATCH" else "DELETE FROM"
    assert written in statements and "INSERT INTO" in statements


@pytest.mark.parametrize(
    ("method", "field", "value", "said"),
    [
        ("POST", "comments", None, '"comments" is missing.'),
        ("POST", "comments", {}, '"comments" must be a list.'),
        ("POST", "comments", [], '"comments" may have 1 to 500 items; it has 0.'),
        ("POST", "comments", [{}] * 501, '"comments" may have 1 to 500 items; it has 501.'),
        ("POST", "comments", ["x"], 'Item 1 of "comments" must be an object.'),
        ("POST", "comments", [{"author": "Ada"}], 'Item 1 of "comments": "text" is missing.'),
        ("POST", "comments", [{"text": "Hello"}], 'Item 1 of "comments": "author" is missing.'),
        ("PATCH", "comments", None, '"comments" is missing.'),
        ("PATCH", "comments", [{"text": "x"}], 'Item 1 of "comments": a comment\'s id is '),
        ("PATCH", "comments", [{"id": True, "text": "x"}], 'Item 1 of "comments": a comment\'s id'),
        (
            "PATCH",
            "comments",
            [{"id": 2**63, "text": "x"}],
            'Item 1 of "comments": a comment\'s id',
        ),
        (
            "PATCH",
            "comments",
            [{"id": 7}] * 2,
            'Item 2 of "comments": comment 7 stands there twice.',
        ),
        ("DELETE", "ids", None, '"ids" is missing.'),
        ("DELETE", "ids", "1", '"ids" must be a list.'),
        ("DELETE", "ids", [0], 'Item 1 of "ids": a comment\'s id is a whole number above 0.'),
        ("DELETE", "ids", [[1]], 'Item 1 of "ids": a comment\'s id is a whole number above 0.'),
        ("DELETE", "ids", [7, 8, 7], 'Item 3 of "ids": comment 7 stands there twice.'),
    ],
)
def test_a_bad_list_is_refused_in_one_sentence(
    client: Client, path: str, ids: list[int], method: str, field: str, value: Any, said: str
):
    before = texts()
    answer = send(client, method, path, {field: value})
    assert answer.status_code == 400
    assert sentence(answer).startswith(said)
    assert texts() == before
    assert told() == []


@pytest.mark.parametrize(
    ("bad", "status"), [(None, 400), (" ", 400), ("\0", 400), ("x" * MAX_DATA_BYTES, 413)]
)
def test_all_is_refused_when_one_text_cannot_be_stored(
    client: Client, path: str, ids: list[int], bad: str | None, status: int
):
    before = texts()
    added = [{"author": "Ada", "text": "fine"}, {"author": "Ada", "text": bad}]
    edited = [{"id": ids[0], "text": "fine"}, {"id": ids[1], "text": bad}]
    for method, comments in (("POST", added), ("PATCH", edited)):
        answer = send(client, method, path, {"comments": comments})
        assert answer.status_code == status
        assert sentence(answer).startswith('Item 2 of "comments": ')
        assert texts() == before
        assert told() == []


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_thread_that_is_not_there_is_404(client: Client, method: str):
    answer = send(client, method, "/api/threads/999/comments/", {"comments": [], "ids": []})
    assert answer.status_code == 404
    assert sentence(answer) == "There is no thread 999."
