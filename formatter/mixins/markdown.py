"""Markdown to HTML that is safe to show: markdown-it-py renders, nh3 sanitises.

Both are always done together: HTML that came from a user and was not sanitised has no name here.
"""

from __future__ import annotations

from markdown_it import MarkdownIt

from formatter.mixins.sanitise import SafeHtml
from pushgate import Event


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

    def markdown_renderer(self) -> MarkdownIt:
        """The renderer; a host that wants more of markdown-it-py overrides this."""
        return MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough")

    def transform(self, event: Event) -> Event:
        """See the class."""
        event = super().transform(event)
        text = event.data.get(self.markdown_source)
        if not isinstance(text, str):
            return event
        html = self.sanitise(self._render(text))
        return event.with_data({**event.data, self.markdown_target: html})
