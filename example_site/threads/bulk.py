"""Many comments of one thread by one request: all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction

from example_site.threads import comments
from example_site.threads.comments import LARGEST_ID, Refused
from example_site.threads.models import Comment, Thread

BULK_LENGTH = 500


def add_comments(thread: Thread, fields: object) -> list[Comment]:
    """Store many new comments and return them, in the order given.

    Args:
        thread: where.
        fields: a list of `{"author", "text"}`.

    Raises:
        Refused: one of them cannot be stored.
    """
    rows = []
    for place, item in _objects(fields, "comments"):
        with _telling_which(place, "comments"):
            rows.append(comments.new_comment(thread, item.get("author"), item.get("text")))
    return Comment.objects.bulk_create(rows)


def edit_comments(thread: Thread, fields: object) -> list[int]:
    """Replace the texts of many comments, one after the other by rising id; return the ids.

    Args:
        thread: whose comments.
        fields: a list of `{"id", "text"}`.

    Raises:
        Refused: one of them is not there (status 404) or cannot be stored; those before it had
            been saved, and are rolled back together with their events.
    """
    places: dict[int, int] = {}
    texts: dict[int, object] = {}
    for place, item in _objects(fields, "comments"):
        with _telling_which(place, "comments"):
            comment_id = _id(item.get("id"), texts)
        places[comment_id] = place
        texts[comment_id] = item.get("text")
    with transaction.atomic():
        rows = _locked(thread, texts)
        for comment_id in sorted(texts):
            if comment_id not in rows:
                raise _not_there(comment_id, thread)
            with _telling_which(places[comment_id], "comments"):
                comments.save_text(rows[comment_id], texts[comment_id])
    return sorted(texts)


def delete_comments(thread: Thread, ids: object) -> None:
    """Delete many comments.

    Args:
        thread: whose comments.
        ids: a list of their ids.

    Raises:
        Refused: one of them is not there (status 404); the others had been deleted, and come back.
    """
    asked: set[int] = set()
    for place, item in _items(ids, "ids"):
        with _telling_which(place, "ids"):
            asked.add(_id(item, asked))
    with transaction.atomic():
        there = _locked(thread, asked)
        thread.comments.filter(pk__in=asked).delete()
        missing = asked - there.keys()
        if missing:
            raise _not_there(min(missing), thread)


def _locked(thread: Thread, ids: Iterable[int]) -> dict[int, Comment]:
    """Return those of the comments that are there, locked.

    Whoever locks many does so by rising id: two at once wait for each other in one direction only.
    """
    rows = thread.comments.filter(pk__in=list(ids)).select_for_update().order_by("pk")
    return {row.pk: row for row in rows}


def _items(value: object, name: str) -> Iterator[tuple[int, object]]:
    """Return the items of a list, counted from 1."""
    if value is None:
        raise Refused(f'"{name}" is missing.')
    if not isinstance(value, list):
        raise Refused(f'"{name}" must be a list.')
    if not 1 <= len(value) <= BULK_LENGTH:
        raise Refused(f'"{name}" may have 1 to {BULK_LENGTH} items; it has {len(value)}.')
    return enumerate(value, 1)


def _objects(value: object, name: str) -> Iterator[tuple[int, dict[str, object]]]:
    for place, item in _items(value, name):
        if not isinstance(item, dict):
            raise Refused(f'Item {place} of "{name}" must be an object.')
        yield place, item


def _id(value: object, known: Iterable[int]) -> int:
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise Refused("a comment's id is a whole number above 0.")
    if value in known:
        raise Refused(f"comment {value} stands there twice.")
    return value


@contextmanager
def _telling_which(place: int, name: str) -> Iterator[None]:
    """Have a refusal say which item is meant."""
    try:
        yield
    except Refused as refused:
        sentence = f'Item {place} of "{name}": {refused.sentence}'
        raise Refused(sentence, refused.status) from None


def _not_there(comment_id: int, thread: Thread) -> Refused:
    return Refused(f"There is no comment {comment_id} in thread {thread.pk}.", 404)
