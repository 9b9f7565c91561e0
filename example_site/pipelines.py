"""What the formatter makes of the site's events. It runs in the formatter's process, which never
sees Django: everything a pipeline needs is in the event."""

from __future__ import annotations

from formatter import Pipeline
from formatter.mixins import PermalinkMixin, RenderMarkdownMixin


class CommentPipeline(RenderMarkdownMixin, PermalinkMixin, Pipeline):
    """A comment's text as HTML, and where it can be seen."""

    permalink = "/threads/{thread}/#comment-{id}"


pipelines = {"comment.": CommentPipeline}
