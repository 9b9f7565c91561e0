"""The site's JSON API as a commenter calls it.

A new connection for each call and no repeats: a call is refused, answered, or nobody knows, and a
client that tries again by itself would blur which.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

_HEADERS = {"Content-Type": "application/json", "Connection": "close"}


class CallRefused(Exception):
    """The call surely did nothing: not connected, or answered 4xx."""


class CallUnanswered(Exception):
    """The call may have done its work: no answer in time, or a broken connection."""


class CallFailed(CallUnanswered):
    """The site itself says that it failed (5xx); the call may have done its work all the same."""


class Site:
    """The API of one site.

    Args:
        url: `http://host:port`.
        timeout_seconds: of a connect, and of a read that brings nothing.
    """

    def __init__(self, url: str, timeout_seconds: float = 10) -> None:
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    def add_thread(self, title: str) -> int:
        """Begin a thread and return its id."""
        return int(self._call("POST", "/api/threads/", {"title": title})["id"])

    def add_comment(self, thread: int, author: str, text: str) -> int:
        """Post a comment and return its id."""
        path = f"/api/threads/{thread}/comments/"
        return int(self._call("POST", path, {"author": author, "text": text})["id"])

    def edit_comment(self, comment: int, text: str) -> None:
        """Replace a comment's text."""
        self._call("PATCH", f"/api/comments/{comment}/", {"text": text})

    def delete_comment(self, comment: int) -> None:
        """Delete a comment."""
        self._call("DELETE", f"/api/comments/{comment}/")

    def add_comments(self, thread: int, author: str, texts: Sequence[str]) -> list[int]:
        """Post several comments, all or none, and return their ids."""
        rows = [{"author": author, "text": text} for text in texts]
        answer = self._call("POST", f"/api/threads/{thread}/comments/", {"comments": rows})
        return [int(comment) for comment in answer["ids"]]

    def edit_comments(self, thread: int, texts: Mapping[int, str]) -> None:
        """Replace the texts of several comments (id -> text) of a thread, all or none."""
        rows = [{"id": comment, "text": text} for comment, text in texts.items()]
        self._call("PATCH", f"/api/threads/{thread}/comments/", {"comments": rows})

    def delete_comments(self, thread: int, comments: Sequence[int]) -> None:
        """Delete several comments of a thread, all or none."""
        self._call("DELETE", f"/api/threads/{thread}/comments/", {"ids": list(comments)})

    def comments(self, thread: int) -> dict[int, str]:
        """Return the texts of all comments of a thread by their ids."""
        found: dict[int, str] = {}
        before = ""
        while True:
            page = self._call("GET", f"/api/threads/{thread}/comments/?limit=1000{before}")
            found |= {int(row["id"]): str(row["text"]) for row in page["comments"]}
            if not page["earlier"]:
                return found
            before = f"&before={min(found)}"

    def answers(self) -> bool:
        """Return whether a site with this API is there."""
        try:
            self._call("GET", "/api/threads/")
        except CallRefused as refused:
            # The API begins threads at this address and does not list them.
            return "405" in str(refused)
        except CallUnanswered:
            return False
        return False

    def _call(self, method: str, path: str, fields: object = None) -> dict[str, Any]:
        """Return the answer's JSON object, {} when it has none.

        Raises:
            CallRefused: nothing happened.
            CallUnanswered: nobody knows.
        """
        body = None if fields is None else json.dumps(fields).encode()
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=self._timeout_seconds
        )
        try:
            try:
                connection.connect()
            except OSError as error:
                raise CallRefused(f"{self.url} cannot be connected to: {error}") from None
            try:
                connection.request(method, path, body, _HEADERS)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                raise CallUnanswered(f"{method} {path}: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if response.status >= 500:
            raise CallFailed(f"{method} answered {response.status}")
        if response.status >= 400:
            raise CallRefused(f"{method} answered {response.status}: {_sentence(text)}")
        with suppress(ValueError):
            answer = json.loads(text or b"{}")
            if isinstance(answer, dict):
                return answer
        raise CallFailed(f"{method} answered {response.status} without a JSON object")


def _sentence(text: bytes) -> str:
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(text)["error"])[:200]
    return repr(text[:80])
