"""`python -m loadtest.bench.bare_markdown TIMES`: what `comment_pipeline` is compared with.

Renders the same comments with markdown-it-py and nh3 alone, both made once, and says what one took.
"""

from __future__ import annotations

import sys
import time

import nh3
from markdown_it import MarkdownIt

from loadtest.bench.comment_texts import comment_texts

_TAGS = {
    *("a", "blockquote", "br", "code", "em", "h3", "h4", "hr", "li", "ol", "p", "pre", "s"),
    *("strong", "ul"),
}


def cpu_microseconds(times: int) -> float:
    """Return the processor time of one comment, each rendered so many times."""
    texts = comment_texts()
    render = (
        MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("strikethrough").render
    )
    clean = nh3.Cleaner(
        tags=_TAGS,
        attributes={"*": set(), "a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow ugc noopener",
    ).clean
    for text in texts[:20]:
        clean(render(text))
    began = time.process_time()
    for _ in range(times):
        for text in texts:
            clean(render(text))
    return 1e6 * (time.process_time() - began) / (times * len(texts))


if __name__ == "__main__":
    print(cpu_microseconds(int(sys.argv[1])))
