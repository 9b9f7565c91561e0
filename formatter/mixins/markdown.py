"""Markdown to HTML that is safe to show: markdown-it-py renders, nh3 sanitises.

Both are always done together: HTML that came from a user and was not sanitised has no name here.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from formatter.mixins.sanitise import SafeHtml
from pushgate import Event

# Text without anything that Markdown knows: most of what people write to each other. Each line
# begins with a letter and ends without a space; of white space it has spaces and line breaks.
_NO_MARKUP = r"[^\\`*_\[\]<>&~\s\x00-\x1f\x7f]"
_LINE = rf"[^\W\d_](?: *+{_NO_MARKUP})*+"
_is_plain = re.compile(rf"{_LINE}(?:\n++{_LINE})*+").fullmatch
_PARAGRAPHS = re.compile(r"\n\n+")


def _render_plain(text: str) -> str:
    """The HTML of a text that `_is_plain`, at a tenth of what it costs to parse it."""
    if "\n" not in text:
        return f"<p>{text}</p>\n"
    paragraphs = (part.replace("\n", "<br>\n") for part in _PARAGRAPHS.split(text))
    return "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)


class RenderMarkdownMixin(SafeHtml):
    """Adds the HTML of a Markdown text to the event's data.

    Raw HTML in the text is shown, not obeyed; a line break is one. What the HTML may hold, and what
    links carry, is said by the attributes of `SafeHtml`.

    Attributes:
        markdown_source: the name in the data that holds the text; an event without it passes.
        markdown_target: the name that gets the HTML.
    """

    markdown_source = "text"
    markdown_target = "html"

    def __init__(self) -> None:
        """Makes the renderer.

        Raises:
            InvalidPipelines: see `SafeHtml`.
        """
        super().__init__()
        self._render = self.markdown_renderer().render
        # Another renderer may know other signs.
        self._knows_plain = type(self).markdown_renderer is RenderMarkdownMixin.markdown_renderer

    def markdown_renderer(self) -> MarkdownIt:
        """The renderer; a host that wants more of markdown-it-py overrides this."""
        return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")

    def transform(self, event: Event) -> Event:
        """See the class."""
        event = super().transform(event)
        text = event.data.get(self.markdown_source)
        if not isinstance(text, str):
            return event
        is_plain = self._knows_plain and _is_plain(text)
        html = self.sanitise(_render_plain(text) if is_plain else self._render(text))
        return event.with_data({**event.data, self.markdown_target: html})
