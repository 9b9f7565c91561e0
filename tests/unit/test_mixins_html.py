"""HTML that pipelines make is safe to show, whatever a user wrote."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from formatter import Pipeline
from formatter.errors import InvalidPipelines
from formatter.mixins import RenderMarkdownMixin, SanitiseHtmlMixin
from formatter.mixins.markdown import _is_plain
from formatter.mixins.sanitise import ALLOWED_TAGS
from formatter.testing import run
from pushgate import Event

HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='&#106;avascript:alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<a href=x onclick=alert(1) style='position:fixed'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<form action=//evil.example><input name=password></form>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "<style>@import '//evil.example'</style>",
    "<p style='background:url(//evil.example)' class=x id=y>x</p>",
    "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<plaintext><script>alert(1)",
    "<textarea></textarea><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](java&#x0A;script:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "[x](data:text/html,x)",
    "![x](https://evil.example/pixel.png)",
    "[x](https://example.org \"' onmouseover=alert(1) '\")",
    '[x](https://example.org/"onmouseover=alert(1))',
    "```<script>\nalert(1)\n```",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
PIECES = [
    *("<", ">", '"', "'", "`", "&", ";", "/", "=", "\\", "\n", "\t", "\x00", "[", "](", ")", "*"),
    *("<a href=", "<img src=x ", "<svg>", "<math>", "<style>", "</style>", "<script>", "<p>"),
    *("<!--", "-->", "<![CDATA[", "]]>", "javascript:", "data:", "&#x6a;", "onerror=", "title="),
    *("<table>", "<mglyph>", "<noscript>", "</p>", "<a ", "x", "é", "\u2028", "\U0001f600"),
]
texts = st.one_of(
    st.text(st.characters(codec="utf-8")),
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map("".join),
)


class Markdown(RenderMarkdownMixin, Pipeline):
    pass


class Sanitised(SanitiseHtmlMixin, Pipeline):
    pass


MARKDOWN, SANITISED = Markdown(), Sanitised()


class Reader(HTMLParser):
    """Reads HTML as another than the sanitiser would, and fails at what should not be there."""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED_TAGS
        for name, value in attributes:
            assert (tag, name) in {("a", "href"), ("a", "title"), ("a", "rel")}
            if name == "href":
                address = (value or "").strip()
                scheme, colon, _ = address.partition(":")
                assert not colon or not scheme.isalpha() or scheme in {"http", "https", "mailto"}

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")


def read(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()


def html_of(pipeline: Pipeline, **data: Any) -> Any:
    return run(pipeline, Event("a", ("b",), data))["b"]["html"]


@pytest.mark.parametrize("text", [*HOSTILE, "<p title=x lang=y>x"])
def test_what_could_harm_a_reader_is_taken_out(text: str) -> None:
    read(html_of(MARKDOWN, text=text))
    read(html_of(SANITISED, html=text))


@given(text=texts)
def test_no_text_gets_through_as_anything_but_allowed_html(text: str) -> None:
    for html in (html_of(MARKDOWN, text=text), html_of(SANITISED, html=text)):
        read(html)
        # What a browser parses and writes again must not come to life.
        assert SANITISED.sanitise(html) == html


MARKS = ["\\", "`", "*", "_", "[", "]", "<", ">", "&", "~", "~~"]
TURNS = [" ", "\n", "\n\n", "a", "Word", "1.", "- ", "# ", "!", "(", '"', "=", "|"]
prose = st.lists(
    st.sampled_from(TURNS) | st.text(st.characters(codec="utf-8"), max_size=3), max_size=12
).map("".join)


@pytest.mark.parametrize("mark", [*MARKS, "&amp;", "![", "](x)"])
def test_every_sign_markdown_knows_is_left_to_it(mark: str) -> None:
    assert not _is_plain(f"a {mark}b{mark}")


@given(text=prose)
def test_text_without_markup_comes_out_as_markdown_has_it(text: str) -> None:
    renderer = MARKDOWN.markdown_renderer()
    assert html_of(MARKDOWN, text=text) == MARKDOWN.sanitise(renderer.render(text))


@pytest.mark.parametrize(
    "text", ['Well: it\'s "fine" (50% / 1+1=2)!', "Dear\nAnn,\n\nthanks\n\n\nBob", "É\U0001f600"]
)
def test_plain_text_is_not_parsed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    html = MARKDOWN.sanitise(MARKDOWN.markdown_renderer().render(text))
    pipeline = Markdown()
    monkeypatch.setattr(pipeline, "_render", None)
    assert html_of(pipeline, text=text) == html


def test_links_carry_a_rel_and_relative_ones_stay() -> None:
    html = html_of(MARKDOWN, text="[here](/threads/1/) [there](https://example.org)")
    assert html.count('rel="nofollow ugc noopener"') == 2
    assert 'href="/threads/1/"' in html


def test_markdown_is_rendered_beside_its_text() -> None:
    seen = run(MARKDOWN, Event("a", ("b",), {"text": "so *nice*\nand ~~bad~~"}))["b"]
    assert seen["html"] == "<p>so <em>nice</em><br>\nand <s>bad</s></p>\n"
    assert seen["text"] == "so *nice*\nand ~~bad~~"


@pytest.mark.parametrize("data", [{}, {"text": None}, {"text": 17}, {"text": ["x"]}])
def test_an_event_without_a_text_passes_as_it_is(data: dict[str, Any]) -> None:
    event = Event("comment.deleted", ("b",), data)
    assert MARKDOWN.transform(event) is event
    assert SANITISED.transform(event) is event


def test_fields_are_sanitised_by_name() -> None:
    class Two(SanitiseHtmlMixin, Pipeline):
        html_names = ("title", "body")

    data = {"title": "<b>x", "body": "<em>y", "text": "<b>z"}
    seen = run(Two, Event("a", ("b",), data))["b"]
    assert (seen["title"], seen["body"], seen["text"]) == ("x", "<em>y</em>", "<b>z")


def test_a_host_says_what_is_allowed() -> None:
    class Pictures(SanitiseHtmlMixin, RenderMarkdownMixin, Pipeline):
        allowed_tags = ALLOWED_TAGS | {"img"}
        allowed_attributes = {"img": {"src", "alt"}, "a": {"href"}}
        allowed_url_schemes = {"https"}
        link_rel = "noopener"

    text = "![x](https://example.org/x.png) ![x](http://example.org/x.png) [y](https://example.org)"
    assert html_of(Pictures(), text=text) == (
        '<p><img src="https://example.org/x.png" alt="x"> <img alt="x"> '
        '<a href="https://example.org" rel="noopener">y</a></p>\n'
    )


def test_a_host_brings_its_own_renderer() -> None:
    class Tables(RenderMarkdownMixin, Pipeline):
        allowed_tags = {"table", "thead", "tr", "th", "tbody"}

        def markdown_renderer(self) -> MarkdownIt:
            return super().markdown_renderer().enable("table")

    assert "<th>a</th>" in html_of(Tables(), text="|a|\n|-|\n|b|")


@pytest.mark.parametrize(
    ("attributes", "named"),
    [
        ({"allowed_tags": {"p", "SCRIPT"}}, "script"),
        ({"allowed_tags": {"style"}}, "style"),
        ({"allowed_attributes": {"p": {"onclick"}}}, "onclick"),
        ({"allowed_attributes": {"*": {"srcdoc"}}}, "srcdoc"),
        ({"allowed_url_schemes": {"https", "JavaScript"}}, "javascript"),
        ({"allowed_attributes": {"a": {"rel"}}}, "rel"),
        ({"allowed_attributes": ["href"]}, "allowed HTML"),
        ({"allowed_tags": 7}, "allowed HTML"),
        ({"html_names": "html"}, "html_names = 'html'"),
    ],
)
def test_what_lets_a_script_through_or_makes_no_sense_is_refused_at_start(
    attributes: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidPipelines, match=f"^Wrong.*{named}"):
        type("Wrong", (SanitiseHtmlMixin, Pipeline), attributes)()
