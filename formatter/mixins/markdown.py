"""Markdown to HTML that is safe to show: markdown-it-py renders, nh3 sanitises.

Both are always done together: HTML that came from a user and was not sanitised has no name here.
"""

from __future__ import annotations

from functools import cache

import nh3
from markdown_it import MarkdownIt

from formatter.pipeline import Pipeline
from pushgate import Event

ALLOWED_TAGS = {
    *("a", "blockquote", "br", "code", "em", "h3", "h4", "hr", "li", "ol", "p", "pre", "strong"),
    *("s", "ul"),
}


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")


def render_markdown(text: str) -> str:
    """Renders a comment's Markdown as HTML with `ALLOWED_TAGS` only.

    Raw HTML in the text is shown, not obeyed; links carry `rel="nofollow ugc noopener"`.
    """
    return nh3.clean(
        _markdown().render(text),
        tags=ALLOWED_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow ugc noopener",
    )


class RenderMarkdownMixin(Pipeline):
    """Adds the HTML of a Markdown text to the event's data.

    Attributes:
        markdown_source: the name in the data that holds the text; an event without it passes.
        markdown_target: the name that gets the HTML.
    """

    markdown_source = "text"
    markdown_target = "html"

    def transform(self, event: Event) -> Event:
        """See the class."""
        event = super().transform(event)
        text = event.data.get(self.markdown_source)
        if not isinstance(text, str):
            return event
        return event.with_data({**event.data, self.markdown_target: render_markdown(text)})
