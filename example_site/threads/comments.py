"""What may be said and how it is stored: the rules the pages and the API share."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from example_site.threads.models import Comment, Thread
from pushgate import json_codec
from pushgate.event import MAX_DATA_BYTES

AUTHOR_LENGTH = 80
TITLE_LENGTH = 200
PAGE_LENGTH = 200
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Refused(Exception):
    """What was sent cannot be stored; `sentence` says why, `status` is the HTTP answer."""

    sentence: str
    status: int = 400

    def __str__(self) -> str:
        return self.sentence


def clean_line(value: object, name: str, length: int) -> str:
    """Return the one-line text `value`, stripped, or raise `Refused`."""
    line = _clean(value, name)
    if len(line) > length:
        raise Refused(f'"{name}" may have {length} characters at the most; it has {len(line)}.')
    return " ".join(line.split())


def clean_text(value: object, author: str) -> str:
    """Return the comment's text, stripped, with `\\n` line ends.

    Raises:
        Refused: it is empty, or (status 413) the event of such a comment would be longer than
            an event's data may be. Measured with the longest ids and times there can be, so a
            comment that is accepted can be edited and deleted as well.
    """
    text = _clean(value, "text")
    longest = Comment(
        id=LARGEST_ID,
        thread_id=LARGEST_ID,
        author=author,
        text=text,
        edited_at=timezone.now(),
    )
    size = len(json_codec.encode(longest.as_data()))
    if size > MAX_DATA_BYTES:
        raise Refused(
            f"The comment is too long: encoded with its author it takes {size} bytes, "
            f"and {MAX_DATA_BYTES} are allowed.",
            413,
        )
    return text


def add_thread(title: object) -> Thread:
    """Store a new thread."""
    return Thread.objects.create(title=clean_line(title, "title", TITLE_LENGTH))


def new_comment(thread: Thread, author: object, text: object) -> Comment:
    """Return a comment that can be stored."""
    name = clean_line(author, "author", AUTHOR_LENGTH)
    return Comment(thread=thread, author=name, text=clean_text(text, name))


def add_comment(thread: Thread, author: object, text: object) -> Comment:
    """Store a new comment; its event goes out when the transaction commits."""
    comment = new_comment(thread, author, text)
    comment.save(force_insert=True)
    return comment


def edit_comment(comment_id: int, text: object) -> Comment:
    """Replace a comment's text.

    Raises:
        Comment.DoesNotExist: it is not there (any more).
    """
    with transaction.atomic():
        comment = Comment.objects.select_for_update().get(pk=comment_id)
        save_text(comment, text)
    return comment


def save_text(comment: Comment, text: object) -> None:
    """Replace the text of a comment whose row is locked."""
    comment.text = clean_text(text, comment.author)
    comment.edited_at = timezone.now()
    comment.save(update_fields=["text", "edited_at"])


def delete_comment(comment_id: int) -> Comment:
    """Delete a comment and return what it was.

    Raises:
        Comment.DoesNotExist: it is not there (any more).
    """
    with transaction.atomic():
        # The row's lock makes one of two deletions at once the only one, with one event.
        comment = Comment.objects.select_for_update().get(pk=comment_id)
        comment.delete()
    return comment


def newest_comments(
    thread: Thread, before: int | None = None, limit: int = PAGE_LENGTH
) -> tuple[list[Comment], bool]:
    """Return a thread's newest comments, oldest first, and whether there are earlier ones.

    Args:
        thread: whose comments.
        before: only those with a lower id, to read on backwards.
        limit: how many at the most.
    """
    rows = thread.comments.order_by("-id")
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: limit + 1])
    return found[:limit][::-1], len(found) > limit


def _clean(value: object, name: str) -> str:
    if value is None:
        raise Refused(f'"{name}" is missing.')
    if not isinstance(value, str):
        raise Refused(f'"{name}" must be a string.')
    text = value.replace("\r\n", "\n").strip()
    if not text:
        raise Refused(f'"{name}" is empty.')
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(f'"{name}" holds half of a surrogate pair, which is no character.') from None
    if "\0" in text:
        raise Refused(f'"{name}" holds a NUL character, which cannot be stored.')
    return text
