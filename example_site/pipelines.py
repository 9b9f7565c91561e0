"""What the formatter makes of the site's events. It runs in the formatter's process, which never
sees Django: everything a pipeline needs is in the event."""

from __future__ import annotations

from formatter import Pipeline
from formatter.mixins import PermalinkMixin


class CommentPipeline(PermalinkMixin, Pipeline):
    """Says where a comment can be seen; the page itself shows its text as plain text."""

    permalink = "/threads/{thread}/#comment-{id}"


pipelines = {"comment.": CommentPipeline}
